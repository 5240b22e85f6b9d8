"""Arrays: what is read is what NumPy stored, from every kind of file; and what is refused."""

import doctest
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, View
from mytorch.data import Arrays, TableError, split
from mytorch.data.arrays import data_set, stored_array
from mytorch.plugins import FileError

Save = Callable[..., Path]


def in_folder(path: Path, **arrays: Any) -> Path:
    path.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


def in_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path / "rows.npz", **arrays)
    return path / "rows.npz"


def in_compressed(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path / "rows.npz", **arrays)
    return path / "rows.npz"


KINDS = pytest.mark.parametrize("save", [in_folder, in_npz, in_compressed])


@KINDS
@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3), (7, 2, 3, 4)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "g", "u1", "i2", ">i4", "i8", "u8", "?"])
def test_rows_of_any_shape_and_type_come_as_they_are_stored(
    tmp_path: Path, save: Save, shape: tuple[int, ...], dtype: str
) -> None:
    draw = np.random.default_rng(0)
    x = (draw.normal(size=shape) * 50).astype(dtype) if dtype != "u8" else draw.integers(0, 2**62, shape).astype(dtype)
    if dtype == "u1":
        x = draw.integers(0, 256, shape).astype(dtype)
    data = Arrays(save(tmp_path, x=x, y=np.arange(7.0)), "x", "y")
    wanted = torch.from_numpy(x.astype("i8" if np.dtype(dtype).kind in "iu" else "f8"))
    expected = wanted if wanted.dtype is torch.int64 else wanted.float()
    rows = [5, 0, 5, 6]
    inputs, targets = data[rows]
    torch.testing.assert_close(inputs, expected[rows], rtol=0, atol=0)
    torch.testing.assert_close(targets, torch.tensor(rows).float(), rtol=0, atol=0)
    if dtype in ("f8", "g"):
        torch.testing.assert_close(data.exact_at(torch.tensor(rows))[0], wanted[rows], rtol=0, atol=0)
    assert len(data) == 7


@KINDS
def test_the_order_of_axes_is_that_of_the_array(tmp_path: Path, save: Save) -> None:
    x = np.asfortranarray(np.random.default_rng(1).normal(size=(6, 4, 2)))
    data = Arrays(save(tmp_path, x=x), "x", dtype="float64")
    torch.testing.assert_close(data[:][0], torch.from_numpy(np.ascontiguousarray(x)), rtol=0, atol=0)
    assert data[:][1] is None


@KINDS
def test_whole_targets_are_classes_in_memory_and_parts_are_stratified(tmp_path: Path, save: Save) -> None:
    y = np.random.default_rng(2).permutation(np.arange(60) % 3).astype("u1")
    path = save(tmp_path, x=np.zeros((60, 2)), y=y)
    data = Arrays(path, "x", "y", classes=("a", "b", "c"))
    torch.testing.assert_close(data.targets, torch.from_numpy(y).long())
    assert [part.targets.bincount().tolist() for part in split(data, (0.5, 0.5))] == [[10, 10, 10]] * 2
    assert View(data, [3])[0][1] == y[3]


def test_targets_may_be_the_inputs_or_have_axes_of_their_own(tmp_path: Path) -> None:
    path = in_npz(tmp_path, x=np.ones((4, 3)), masks=np.arange(16).reshape(4, 2, 2))
    inputs, targets = Arrays(path, "x", "x")[:]
    torch.testing.assert_close(inputs, targets)
    data = Arrays(path, "x", "masks", classes=[str(number) for number in range(16)])
    assert data[1][1].tolist() == [[4, 5], [6, 7]]
    assert data.targets is None


def test_a_process_of_its_own_maps_the_file_anew(tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(20, 3)).astype("f4")
    data = Arrays(in_npz(tmp_path, x=x, y=np.arange(20)), "x", "y")
    data[0]
    copy = pickle.loads(pickle.dumps(data))
    torch.testing.assert_close(copy[7:9][0], torch.from_numpy(x[7:9]))
    loaded = [inputs for inputs, _ in DataLoader(data, batch_size=8, num_workers=1)]
    torch.testing.assert_close(torch.cat(loaded), torch.from_numpy(x))


@pytest.mark.parametrize("order", ["C", "F"])
def test_what_a_mapping_takes_is_given_back(order: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.asarray(np.random.default_rng(4).normal(size=(500, 64)), order=order)
    monkeypatch.setattr(stored_array, "SMALL", 0)
    monkeypatch.setattr(stored_array, "RESIDENT", 10_000)
    monkeypatch.setattr(stored_array, "AROUND", 0)
    if order == "C":
        monkeypatch.delattr(os, "preadv", raising=False)  # as on Windows
    data = Arrays(in_folder(tmp_path, x=x), "x", dtype="float64")
    order = torch.randperm(500)
    torch.testing.assert_close(data[order][0], torch.from_numpy(x)[order], rtol=0, atol=0)
    assert data._inputs._mapped is not None
    assert data._inputs._touched <= 10_000


ORDERS = ([], [7], [0, 1, 2], [3, 4, 9, 8, 7, 0, 1], [5, 5, 6, 6], list(range(20)))


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">i2", "?"])
@pytest.mark.parametrize("rows", ORDERS)
@pytest.mark.parametrize("small", [0, stored_array.SMALL], ids=["row by row", "whole"])
def test_rows_come_in_the_order_that_is_asked_for(
    small: int, rows: list[int], dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "SMALL", small)
    x = (np.random.default_rng(5).normal(size=(20, 3, 2)) * 3).astype(dtype)
    data = Arrays(in_folder(tmp_path, x=x), "x", dtype="float64")
    found, _ = data.batch_at(torch.tensor(rows, dtype=torch.int64))
    assert found.tolist() == x[rows].tolist()


def test_a_call_that_reads_less_than_it_was_asked_for_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "SMALL", 0)
    x, read = np.arange(60.0).reshape(20, 3), os.preadv
    data = Arrays(in_folder(tmp_path, x=x), "x", dtype="float64")
    monkeypatch.setattr(os, "preadv", lambda file, views, place: read(file, [views[0][:7]], place))
    assert data[:][0].tolist() == x.tolist()
    monkeypatch.setattr(os, "preadv", lambda _file, _views, _place: 0)
    with pytest.raises(TableError, match=r"x\.npy: must stay as it is while it is read, got a change"):
        data[:]


@pytest.mark.parametrize("small", [0, stored_array.SMALL], ids=["row by row", "whole"])
def test_a_file_that_cannot_be_read_is_told(small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_array, "SMALL", small)
    data = Arrays(in_folder(tmp_path, x=np.zeros((4, 3))), "x")

    def fails(*_given: Any, **_more: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fails)
    monkeypatch.setattr(np, "fromfile", fails)
    with pytest.raises(TableError, match=r"array 'x' must be stored whole by NumPy, got .*Input/output error"):
        data[0]


def test_a_small_array_in_the_order_of_fortran(tmp_path: Path) -> None:
    x = np.asfortranarray(np.random.default_rng(6).normal(size=(20, 3, 2)))
    data = Arrays(in_folder(tmp_path, x=x), "x", dtype="float64")
    assert data[3:9][0].tolist() == x[3:9].tolist()


def test_like_takes_the_names_and_requires_the_same_rows(tmp_path: Path) -> None:
    like = Arrays(in_npz(tmp_path, x=np.zeros((4, 3)), y=np.zeros(4)), "x", "y").preparation
    new = in_folder(tmp_path / "new", x=np.ones((2, 3)))
    data = Arrays(new, like=like)
    assert data[:][1] is None
    assert data.preparation == {
        "arrays": {"dataset": "mytorch-data:Arrays", "inputs": "x", "targets": "y", "shape": [3], "whole": False}
    }
    in_folder(new, x=np.ones((2, 4)))
    with pytest.raises(TableError, match=r"new: array 'x' must hold rows of floating-point numbers of shape \[3\], "):
        Arrays(new, like=like)
    in_folder(new, x=np.ones((2, 3), dtype="i8"))
    with pytest.raises(TableError, match=r"floating-point numbers of shape \[3\], got int64 \[3\]"):
        Arrays(new, like=like)
    with pytest.raises(ArgumentError, match="Arrays: like must be the preparation of former Arrays, got "):
        Arrays(new, like={"table": {}})


class Trap:
    """Its pickle would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@KINDS
def test_objects_are_refused_and_never_unpickled(tmp_path: Path, save: Save) -> None:
    trap = np.array([Trap(tmp_path / "sprung"), 1], dtype=object)
    with pytest.raises(
        TableError, match="array 'x' must hold numbers, got object; Python objects are never unpickled"
    ):
        Arrays(save(tmp_path, x=trap), "x")
    assert not (tmp_path / "sprung").exists()


@KINDS
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.array(["a", "b"])}, r"array 'x' must hold numbers, got <U1; mytorch\.data\.Table encodes text"),
        ({"x": np.ones(3, dtype=complex)}, "array 'x' must hold numbers, got complex128"),
        ({"x": np.zeros(3, dtype=[("a", "f8")])}, "array 'x' must hold numbers, got"),
        ({"x": np.float64(3)}, "array 'x' must have the rows as its first axis, got a single number"),
        ({"x": np.zeros((0, 3))}, r"array 'x' must have at least one row of numbers, got shape \(0, 3\)"),
        ({"x": np.zeros((3, 0))}, r"array 'x' must have at least one row of numbers, got shape \(3, 0\)"),
        (
            {"x": np.zeros((3, 2)), "y": np.zeros(4)},
            "arrays must have the same number of rows, got 'x': 3 and 'y': 4",
        ),
    ],
)
def test_what_is_no_rows_of_numbers_is_told(tmp_path: Path, save: Save, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        Arrays(save(tmp_path, **arrays), "x", "y" if "y" in arrays else None)


def test_names_and_paths_that_are_not_there(tmp_path: Path) -> None:
    path = in_npz(tmp_path, pictures=np.zeros(3), labels=np.zeros(3))
    with pytest.raises(TableError, match=r"must hold an array named 'picture', got pictures, labels\. Nearest: pict"):
        Arrays(path, "picture")
    folder = in_folder(tmp_path / "folder", pictures=np.zeros(3))
    with pytest.raises(FileError, match=r"picture\.npy: must be a file, got no such file\. Nearest: pictures"):
        Arrays(folder, "picture")
    with pytest.raises(FileError, match=r"no\.npz: must be an NPZ file or a folder of \.npy files, got no such file"):
        Arrays(tmp_path / "no.npz", "x")
    with pytest.raises(FileError, match="must be a file of this computer, got an address"):
        Arrays("https://example.com/rows.npz", "x")
    with pytest.raises(ArgumentError, match="Arrays: inputs must name an array, got None"):
        Arrays(path)
    with pytest.raises(ArgumentError, match="Arrays: path must be a path, got 3"):
        Arrays(3, "x")  # type: ignore[arg-type]


def test_classes_must_fit_the_targets(tmp_path: Path) -> None:
    path = in_npz(tmp_path, x=np.zeros((3, 2)), y=np.array([0, 1, 2]), z=np.zeros(3))
    with pytest.raises(TableError, match="array 'y' must hold indices of the 2 classes, from 0, got 0 to 2"):
        Arrays(path, "x", "y", classes=("a", "b"))
    with pytest.raises(ArgumentError, match="classes must be left out unless targets are whole numbers, got float64"):
        Arrays(path, "x", "z", classes=("a", "b"))
    with pytest.raises(ArgumentError, match="classes must be left out unless targets are whole numbers, got no t"):
        Arrays(path, "x", classes=("a", "b"))


@KINDS
def test_every_truncation_and_flipped_bit_is_an_error_or_rows(tmp_path: Path, save: Save) -> None:
    path = save(tmp_path, x=np.random.default_rng(5).normal(size=(40, 3)))
    file = path / "x.npy" if path.is_dir() else path
    whole, draw = file.read_bytes(), np.random.default_rng(6)
    for length in draw.integers(0, len(whole), 40):
        file.write_bytes(whole[:length])
        with pytest.raises((TableError, FileError)):
            Arrays(path, "x")
    for place in draw.integers(0, min(len(whole), 200), 80):
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.integers(8)
        file.write_bytes(changed)
        try:
            assert Arrays(path, "x")[:][0].shape[0] > 0
        except (TableError, FileError):
            continue


def test_a_header_that_declares_too_much_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    header = (tmp_path / "x.npy").read_bytes().replace(b"(3, 2), }  ", b"(10**9, 2), }"[:11])
    (tmp_path / "x.npy").write_bytes(header)
    with pytest.raises(TableError, match="array 'x' must be stored whole by NumPy, got "):
        Arrays(tmp_path, "x")
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("x.npy", "w") as file,
    ):
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
        file.write(bytes(800))
    with pytest.raises(
        TableError, match=r"array 'x' must be whole, got 800 bytes where its shape \(10{15},\) needs 8"
    ):
        Arrays(tmp_path / "bomb.npz", "x")


def test_a_file_that_changes_meanwhile_is_told_before_it_is_read(tmp_path: Path) -> None:
    path = in_folder(tmp_path, x=np.zeros((4000, 50)))
    data = Arrays(path, "x")
    data[0]
    os.truncate(path / "x.npy", 200)  # reading the mapping would end the process
    with pytest.raises(TableError, match="must stay as it is while it is read, got a change; read it again"):
        data[3999]
    (path / "x.npy").unlink()
    with pytest.raises(FileError, match=r"x\.npy: must be readable, got No such file"):
        data[0]


def test_the_example_holds() -> None:
    result = doctest.testmod(data_set)
    assert result.attempted > 8
    assert not result.failed
