import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError, MytorchError, ShapeError
from mytorch.data import Disk, TensorDataSet, write_csv


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, rows


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_numbers_come_back_the_same(tmp_path: Path, dtype: str) -> None:
    data = Disk(300, dtype=dtype)
    header, rows = read(write_csv(data, tmp_path / "disk.csv"))
    assert header == ["x", "y", "class"]
    numbers = torch.tensor([[float(x), float(y)] for x, y, _ in rows], dtype=torch.float64)
    torch.testing.assert_close(numbers.to(data.inputs.dtype), data.inputs, rtol=0, atol=0)
    assert [data.classes.index(name) for *_, name in rows] == data.targets.tolist()


def test_names_are_made_up_where_there_are_none(tmp_path: Path) -> None:
    plain = TensorDataSet(torch.tensor([[1.5, 2.0]]), torch.tensor([3]))
    assert read(write_csv(plain, tmp_path / "a.csv")) == (["x0", "x1", "target"], [["1.5", "2.0", "3"]])
    several = TensorDataSet(torch.tensor([[1.5]]), torch.tensor([[3.0, 4.0]]))
    assert read(write_csv(several, tmp_path / "b.csv"))[0] == ["x0", "target0", "target1"]
    one_hot = TensorDataSet(torch.tensor([[1.5]]), torch.tensor([[0.0, 1.0]]), classes=("a", "b"))
    assert read(write_csv(one_hot, tmp_path / "c.csv"))[1] == [["1.5", "0.0", "1.0"]]


def test_names_with_commas_and_quotes_are_quoted(tmp_path: Path) -> None:
    data = TensorDataSet(torch.tensor([[1.0]]), torch.tensor([0]), ('a, "b"',), ("left, right",))
    assert read(write_csv(data, tmp_path / "a.csv")) == (['a, "b"', "class"], [["1.0", "left, right"]])


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "disk.csv"
    path.write_text("mine")
    message = (
        r"disk\.csv: must be a new file, got one that exists; choose another name, or replace it with force=True "
    )
    message += r"\(--force\)"
    with pytest.raises(MytorchError, match=message):
        write_csv(Disk(3), path)
    assert path.read_text() == "mine"
    write_csv(Disk(3), path, force=True)
    assert len(read(path)[1]) == 3


def test_a_failure_leaves_no_half_written_file(tmp_path: Path) -> None:
    class Breaking(Disk):
        def batch_at(self, indices: Any) -> Any:
            if len(indices) > 1:
                raise RuntimeError("lost")
            return super().batch_at(indices)

    for existing in (False, True):
        path = tmp_path / "disk.csv"
        if existing:
            path.write_text("mine")
        with pytest.raises(RuntimeError, match="lost"):
            write_csv(Breaking(10), path, force=True)
        assert [file.name for file in tmp_path.iterdir()] == (["disk.csv"] if existing else [])
    assert path.read_text() == "mine"


def test_what_cannot_be_written_raises(tmp_path: Path) -> None:
    with pytest.raises(MytorchError, match=r"absent/a\.csv: its folder must exist; create it with: mkdir -p"):
        write_csv(Disk(3), tmp_path / "absent" / "a.csv")
    with pytest.raises(MytorchError, match="must be a file, got a folder"):
        write_csv(Disk(3), tmp_path, force=True)
    with pytest.raises(ShapeError, match=r"write_csv: every row must be flat, .* got \(2, 2\) and \(\)"):
        write_csv(TensorDataSet(torch.zeros(3, 2, 2), torch.zeros(3)), tmp_path / "a.csv")
    named = TensorDataSet(torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64), ("class",), ("a",))
    with pytest.raises(ArgumentError, match="write_csv: columns must have different names, got class, class"):
        write_csv(named, tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_numbers_have_no_more_digits_than_their_dtype(tmp_path):
    cells = [0.1, 1e-8, 2.0, 16777217.0]
    for dtype, last in ((torch.float32, 16777216.0), (torch.float64, 16777217.0)):
        data = TensorDataSet(torch.tensor([cells], dtype=dtype), torch.tensor([0.7], dtype=dtype))
        ((*first, large, target),) = read(write_csv(data, tmp_path / f"{dtype}.csv"))[1]
        assert [*first, target] == ["0.1", "1e-08", "2.0", "0.7"]
        assert float(large) == last  # NumPy 1 writes it without an exponent
