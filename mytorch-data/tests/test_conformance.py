"""Every data set of this distribution goes through the kit."""

import atexit
import functools
import shutil
import tempfile
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from mytorch.data import (
    XOR,
    AddingProblem,
    Arrays,
    Circles,
    Copying,
    Digits,
    Disk,
    Gaussians,
    ImageFolder,
    Moons,
    RaggedDataSet,
    Sequences,
    Shapes,
    SineMixtures,
    Spirals,
    Standardize,
    Standardized,
    Table,
    TensorDataSet,
    TextFile,
    Windows,
    new_rows,
    split,
)
from mytorch.testing import declare_dataset


def numbers():
    return TensorDataSet(torch.randn(9, 3), torch.randn(9, 2), columns=("a", "b", "c"))


@functools.cache
def table():
    """Numbers with missing cells, text, and classes; it needs no reader but numpy."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        x = np.where(np.arange(40) % 7, np.linspace(-3, 5, 40), np.nan)
        np.savez(path, x=x, color=np.array(["red", "blue"] * 20), y=np.arange(40) % 3)
        return Table(path, "y", encode="one-hot", missing="mean")


def of_table():
    return table().learned_from(torch.arange(20))


test_table = declare_dataset(table)
test_table_that_learned_from_some_rows = declare_dataset(of_table)
test_rows_of_a_table = declare_dataset(lambda: split(table(), (0.5, 0.5))[0])
test_standardized_table = declare_dataset(lambda: Standardized(table(), Standardize.fit(table())))
test_disk = declare_dataset(lambda: Disk(50, seed=3, dtype="float64"))
test_disk_of_one_row = declare_dataset(lambda: Disk(1))


@functools.cache
def folder_of_arrays():
    """Two files of the same rows, one of which is compressed; they stay while the tests run."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rows = {"x": np.random.default_rng(0).random((9, 2, 3)), "y": np.arange(9) % 2}
    np.savez(folder / "mapped.npz", **rows)
    np.savez_compressed(folder / "compressed.npz", **rows)
    return folder


@functools.cache
def folder_of_images():
    """Images of two classes, which stay while the tests run."""
    image = pytest.importorskip("PIL.Image", reason="pillow comes with mytorch-data[images]")
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    draw = np.random.default_rng(0)
    for number in range(7):
        (folder / "ab"[number % 2]).mkdir(exist_ok=True)
        pixels = draw.integers(0, 256, (6 + number, 8, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / "ab"[number % 2] / f"{number}.png")
    return folder


def images(**options):
    return ImageFolder(folder_of_images(), size=5, **options)


def digits():
    pytest.importorskip("sklearn", reason="scikit-learn comes with mytorch-data[digits]")
    return Digits()


def arrays(name):
    return Arrays(folder_of_arrays() / name, "x", "y", classes=("even", "odd"))


@functools.cache
def windows(**options):
    """A series of two columns, one of which is to be forecast."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.npz"
        np.savez(path, a=np.sin(np.arange(30)), b=np.arange(30.0))
        return Windows(path, "a", 4, 2, **options)


@functools.cache
def text(**options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("".join(chr(97 + number % 23) for number in range(0, 4000, 7)))
        return TextFile(path, 5, **options)


test_text = declare_dataset(text)
test_text_of_bytes = declare_dataset(lambda: text(tokens="bytes"))
test_windows = declare_dataset(windows)
test_windows_without_targets = declare_dataset(lambda: windows(targets=False))
test_standardized_windows = declare_dataset(lambda: Standardized(windows(), Standardize.fit(windows())))
test_arrays = declare_dataset(lambda: arrays("mapped.npz"))
test_compressed_arrays = declare_dataset(lambda: arrays("compressed.npz"))
test_digits = declare_dataset(digits)
test_images = declare_dataset(images)
test_normalized_images = declare_dataset(
    lambda: images(mode="grey", normalize={"mean": [0.4], "std": [0.2]}, cache_bytes=0)
)
RAGGED = {
    "order": "a batch is padded to its longest row, which a row alone is not",
    "no_rows": "without rows there are no steps",
    "parts": "a batch is padded to its longest row, which a row alone is not",
}


@functools.cache
def sequences(**options):
    """Sequences of one to four steps, with a number and a category for each step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.npz"
        who = np.repeat(np.arange(4), [3, 1, 4, 2])
        kind = np.array(["rest", "run"] * 5)
        np.savez(path, who=who, when=np.arange(10), x=np.linspace(0, 1, 10), kind=kind, y=who % 2)
        return Sequences(path, id="who", time="when", encode="one-hot", **options)


def ragged():
    return RaggedDataSet([torch.ones(2, 1), torch.ones(3, 1)], [[0, 1], [1, 1, 0]], per_step=True)


test_ragged_data_set = declare_dataset(ragged, opt_out=RAGGED)
test_sequences = declare_dataset(lambda: sequences(target="y"), opt_out=RAGGED)
test_sequences_of_classes = declare_dataset(lambda: sequences(target="kind", per_step=True), opt_out=RAGGED)
test_standardized_sequences = declare_dataset(
    lambda: Standardized(sequences(target="y"), Standardize.fit(sequences(target="y"))), opt_out=RAGGED
)
test_spirals = declare_dataset(lambda: Spirals(20, classes=3))
test_moons = declare_dataset(lambda: Moons(20))
test_circles = declare_dataset(lambda: Circles(20, dtype="float64"))
test_xor = declare_dataset(lambda: XOR(20))
test_gaussians = declare_dataset(lambda: Gaussians(20))
test_shapes = declare_dataset(lambda: Shapes(9))
test_shapes_by_pixel = declare_dataset(lambda: Shapes(9, size=8, task="segmentation"))
test_adding_problem = declare_dataset(lambda: AddingProblem(9, length=5))
test_copying = declare_dataset(lambda: Copying(9, length=2, delay=3))
test_sine_mixtures = declare_dataset(lambda: SineMixtures(9, history=5, horizon=2))
test_tensor_data_set = declare_dataset(numbers)
test_rows_of_a_split = declare_dataset(lambda: split(Disk(40), (0.5, 0.5))[1])
test_standardized = declare_dataset(lambda: Standardized(Disk(40), Standardize.fit(Disk(40))))


def test_every_part_is_declared_here():
    own = {entry.load() for entry in entry_points(group="mytorch.datasets") if entry.dist.name == "mytorch-data"}
    generated = {AddingProblem, Circles, Copying, Disk, Gaussians, Moons, Shapes, SineMixtures, Spirals, XOR}
    assert own == {*generated, Arrays, Digits, ImageFolder, Sequences, Table, TextFile, Windows, new_rows}
