"""Sheets of Excel files as tables."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mytorch.core import MytorchError
from mytorch.data import ReaderError, Table, inspect_table

openpyxl = pytest.importorskip("openpyxl", reason="openpyxl comes with mytorch-data[excel]")

ROWS = [
    ["area", " town", "sold", "garden", None, "price"],
    [54.5, "Rom", datetime(2024, 1, 31), True, None, 310],
    [81, "Ulm", datetime(2024, 2, 1), False, None, 402],
    [None, "NA", datetime(2024, 2, 3, 12), False, None, 198.5],
]


def save(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def refused(path: Path, target: str = "price", **options: Any) -> str:
    with pytest.raises(MytorchError) as info:
        Table(path, target, **options)
    return str(info.value)


def test_a_sheet_is_read_with_its_types(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xlsx", flats=ROWS)
    table = Table(path, "price", encode="one-hot", missing="mean", dates=["days"])
    assert table.columns == ("area", "town=Rom", "town=Ulm", "sold days", "garden")
    assert table.inputs.tolist() == [[54.5, 1, 0, 0, 1], [81, 0, 1, 1, 0], [67.75, 1, 0, 3.5, 0]]
    assert table.targets.flatten().tolist() == [310, 402, 198.5]
    assert Table(path, like=table.preparation).inputs.tolist() == table.inputs.tolist()
    assert [column.kind for column in inspect_table(path)] == ["number", "text", "date", "boolean", "number"]


def test_numbers_that_are_text_and_cells_of_several_kinds(tmp_path: Path) -> None:
    rows = [["x", "y"], ["1,000", 1.5], [None, None], [5, 2.5], ["-", 3.5]]
    path = save(tmp_path / "a.xlsx", data=rows)
    assert "a.xlsx: row 2, column 'x' must be a number, got '1,000'" in refused(path, "y")
    table = Table(path, "y", thousands=",", missing="mean", missing_markers=["-"])
    assert table.inputs.flatten().tolist() == [1000, 5, 502.5]
    assert "row 5, column 'x' must be a number, as most of this column, got '-'" in refused(
        path, "y", thousands=",", encode="one-hot"
    )


def test_a_sheet_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.xlsx", first=[["x", "price"], [1, 2.5], [2, 3.5]], second=ROWS)
    assert "the sheet to read must be named, got 2: 'first', 'second'; choose by sheet = 'first'" in refused(path)
    assert "got 'thrid'. Known: first, second." in refused(path, sheet="thrid")
    table = Table(path, "price", sheet="first")
    assert table.columns == ("x",)
    assert len(Table(path, like=table.preparation)) == 2


def test_a_file_that_is_no_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.xlsx", flats=ROWS)
    content = path.read_bytes()
    for bad in (b"", b"PK", content[:2000], content[:400] + b"\xff" * 90 + content[490:]):
        (tmp_path / "b.xlsx").write_bytes(bad)
        assert "b.xlsx: must be a whole Excel file, got" in refused(tmp_path / "b.xlsx")
    assert "got an empty sheet" in refused(save(tmp_path / "c.xlsx", empty=[]))
    assert "must have at least one row below" in refused(save(tmp_path / "d.xlsx", header=ROWS[:1]))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ReaderError, match=r"openpyxl, which reads .xlsx files, is not installed.*data\[excel\]"):
        Table(path, "price")
