"""Rows in memory are read as the same rows in a CSV file."""

import csv
import itertools

import pytest
import torch

from mytorch.core import MytorchError
from mytorch.data import Table, TableError
from mytorch.data.table.new_rows import new_rows
from mytorch.data.table.rows import Rows

pytest.importorskip("pyarrow")  # reads the file beside which rows are held
NAMES = ("size", "colour", "day", "price")
CELLS = [
    ["1.5", "red", "2024-01-31", "$ 3"],
    ["", " dark, green ", "2024-02-01", "$ 1,000.5"],
    ["NA", "red", "2023-12-24", "$ 7"],
    ["1e-3", 'say "blue"\nor so', "2024-02-29", "$ 2"],
]
OPTIONS = {"encode": "one-hot", "dates": "parts", "missing": "mean", "thousands": ",", "units": ["$"]}


@pytest.fixture
def path(tmp_path):
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([NAMES, *CELLS])
    return tmp_path / "rows.csv"


def test_rows_in_memory_are_those_of_a_file(path):
    of_file, of_rows = Table(path, "price", **OPTIONS), Table(Rows(NAMES, CELLS), "price", **OPTIONS)
    assert torch.equal(of_rows.inputs, of_file.inputs)
    assert torch.equal(of_rows.targets, of_file.targets)
    assert of_rows.preparation == of_file.preparation
    again = new_rows(Rows(NAMES[:3], [row[:3] for row in CELLS[::-1]]), of_file.preparation)
    assert torch.equal(again.inputs, of_file.inputs.flip(0))
    assert again.targets is None


@pytest.mark.parametrize(
    ("at", "cell", "told"),
    [
        (0, "wide", "must be a number, as in training, got 'wide'"),
        (0, "inf", "must be finite"),
        (1, "pink", "must be a category that was trained on"),
        (2, "soon", "must be a date"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_by_the_number_of_its_row(path, at, cell, told):
    preparation = Table(path, "price", **OPTIONS).preparation
    rows = [list(row) for row in CELLS]
    rows[2][at] = cell
    with pytest.raises(TableError) as info:
        new_rows(Rows(NAMES, rows, "request"), preparation)
    assert str(info.value).startswith(f"request: row 3, column {NAMES[at]!r} ")
    assert told in str(info.value)


def test_a_column_that_is_missing_and_no_rows(path):
    preparation = Table(path, "price", **OPTIONS).preparation
    with pytest.raises(
        TableError, match=r"^request: must have the columns that were trained on, got none named 'size'"
    ):
        new_rows(Rows(NAMES[1:], [row[1:] for row in CELLS], "request"), preparation)
    with pytest.raises(TableError, match=r"^rows: must have at least one row, got none"):
        new_rows(Rows(NAMES, []), preparation)


@pytest.mark.parametrize("cells", list(itertools.combinations(["1", "true", "x", ""], 2)))
def test_kinds_of_columns(cells, tmp_path):
    rows = [[cell, str(number)] for number, cell in enumerate(cells * 2)]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(["a,b", *(",".join(row) for row in rows)]) + "\n")
    found = []
    for source in (file, Rows(("a", "b"), rows, str(file))):
        try:
            found.append(Table(source, "b", encode="one-hot", missing="mean").inputs.tolist())
        except MytorchError as error:
            found.append(type(error))
    assert found[0] == found[1]
