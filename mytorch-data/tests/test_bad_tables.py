"""Tables that cannot be used: each says in one line what is wrong, where, and what would help."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mytorch.core import MytorchError
from mytorch.data import Table, TableError, inspect_table
from mytorch.data.table import csv_source

pa = pytest.importorskip("pyarrow")


def refused(path: Path, target: str | None = "y", **options: Any) -> str:
    with pytest.raises(MytorchError) as info:
        Table(path, target, **options)
    assert "\n" not in str(info.value)
    return str(info.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.csv: must have a line of column names and rows below it, got an empty file"),
        (b"\n\n", "a.csv: must have a line of column names and rows below it, got blank lines only"),
        (b"x,y\n", "a.csv: must have at least one row below the column names, got none"),
        (b"x,y", "a.csv: must have at least one row below the column names, got none"),
        (b"x,y\n1,k\n2,k\n", "a.csv: target 'y' must have at least two classes, got only 'k'"),
        (b"x,y\n1,3\n2,3.0\n", "a.csv: target 'y' must have at least two classes, got only '3'"),
        (b"x,y\n1,.5\n2,.5\n", "target 'y' must have at least two different values, got 0.5 in every row"),
        (b"x,y\n1,0\n1e308,1\n", "row 3, column 'x' must be at most 3.4e+38 in float32, got 1e+308; use dtype ="),
        (b"x,y\n1,0\n1e999,1\n", "row 3, column 'x' must be finite, got inf; an empty cell"),
        (b"x,y\n1,0\n-inf,1\n", "row 3, column 'x' must be finite, got -inf; an empty cell"),
        (b"x,y\n1,0\nnan,1\n", "row 3, column 'x' must be given, got a missing cell ('nan'); missing = \"mean\" or"),
        (b"x,y\n1,0\n,1\n", 'missing = "drop" leaves such rows out'),
        (b"x,y\n1,0.5\n2,\n", "row 3, column 'y' must be given, got a missing target; missing = \"drop\""),
        (b"x,y\n1,1e308\n2,1.5\n", "row 2, column 'y' must fit torch.float32, got 1e+308; use dtype ="),
        (b"x,x,y\n1,2,3\n", "columns must have different names, got 'x' for columns 1, 2"),
        (b",x,y\n1,2,3\n", "every column to learn from must have a name, got none for column 1; leave it out by"),
        (b"x,y\nred,0\n", "row 2, column 'x' must be a number, got 'red'; encode = \"one-hot\" or \"ordinal\" takes"),
        (b'x,y\n1,0\n\n"a\nb",0\n', "row 4, column 'x' must be a number, got 'a\\nb'"),
        (
            b"x,y\n2024-01-31,0\n",
            "row 2, column 'x' must hold numbers or categories, got dates ('2024-01-31'); date",
        ),
        (b'x,y\n"1,5",0\n', "must be a number, got '1,5'; decimal = \",\" reads it as a number; encode = "),
        (b"x,y\n1,0\n\n2,0,3\n", "a.csv: row 4 must have 2 cells, got 3, the first '2'"),
        (b"x,y\n1,0\n2\n", "a.csv: row 3 must have 2 cells, got 1, the first '2'"),
        (b"x,z\n1,0\n", "Table: target must name a column of"),
        (
            b"x;z\n1;0\n",
            "by something else, choose delimiter = ';' (--delimiter ';'), which fits every row.",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "must be text in utf-8, got the byte 0x89, which means nothing there"),
        (b"x\0,y\n1,2\n", "must be a text file, got NUL bytes; is it one?"),
        (
            "x,y\n1,ä\n".encode("latin-1"),
            'name its encoding, such as encoding = "latin-1" or "utf-16" (--encoding latin-1)',
        ),
        (b'x,y\n"1,2\n3,4\n', "a.csv: row 2 must have 2 cells, got 1"),
        (b"x,y\n" + b"1,7\n2,8\n" * 9 + b"1,oops\n", "row 20, column 'y' must be a number, as most of this column"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert message in refused(path)


def test_a_slip_of_the_pen_makes_no_categories(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "1,0\n2,1\n" * 9 + "3o,1\n")
    told = refused(path, encode="one-hot")
    assert "row 20, column 'x' must be a number, as most of this column, got '3o'; encode = { x = \"one-hot\"" in told
    assert Table(path, "y", encode={"x": "one-hot"}).columns == ("x=1", "x=2", "x=3o")


def test_too_many_categories(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "".join(f"n{at},{at % 2}\n" for at in range(1001)))
    told = refused(path, encode="one-hot")
    assert "column 'x' must have at most 1000 categories to be one-hot, got 1001; use \"ordinal\"" in told
    told = refused(path, "x", features=["y"])
    assert "target 'x' must have at most 1000 classes, got 1001" in told


def test_dates_are_refused_even_as_categories(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n2024-01-31 10:00,0\n31.01.2024,1\n")
    assert "column 'x' must hold numbers or categories, got dates" in refused(path, encode="one-hot")
    from pyarrow import parquet

    parquet.write_table(pa.table({"x": pa.array([1, 2], pa.timestamp("s")), "y": [0, 1]}), tmp_path / "a.parquet")
    assert "column 'x' must hold numbers or categories, got dates" in refused(tmp_path / "a.parquet")


def test_a_large_number_fits_float64(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1e308,0.5\n-1e308,1e308\n")
    assert Table(path, "y", dtype="float64").inputs.flatten().tolist() == [1e308, -1e308]


def test_where_there_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text("x,y\n1,2\n")
    assert "iriss.csv: must be a file, got no such file. Nearest: iris.csv." in refused(tmp_path / "iriss.csv")
    assert "must be a file, got a folder; name a file in it" in refused(tmp_path)
    (tmp_path / "a.ods").write_bytes(b"PK")
    assert "a spreadsheet must be saved as .xlsx or .csv to be read, got .ods" in refused(tmp_path / "a.ods")
    (tmp_path / "a.doc").write_bytes(b"PK")
    assert "must end in .csv, .tsv, .txt, .csv.gz, .tsv.gz, .txt.gz, .parquet, .npz, .xlsx, got '.doc'" in refused(
        tmp_path / "a.doc"
    )


def test_options_name_what_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("age,y\n1,0\n2,1\n")
    assert "encode must be one of one-hot, ordinal, got 'onehot'. Nearest: one-hot" in refused(path, encode="onehot")
    assert "encode must name features, got 'agee'. Nearest: age." in refused(path, encode={"agee": "one-hot"})
    assert "encode of 'age' must be one of one-hot, ordinal, got 'hot'" in refused(path, encode={"age": "hot"})
    assert "missing must be one of mean, median, drop, got 'means'. Nearest: mean" in refused(path, missing="means")
    assert "task must be one of classification, regression, got 'class'" in refused(path, task="class")
    assert "encoding must be one that Python knows" in refused(path, encoding="utf8x")
    assert "delimiter must be one ASCII character" in refused(path, delimiter=", ")
    assert "decimal must be '.' or ',', got ';'" in refused(path, decimal=";")
    assert "target must name the column to be predicted, got none. Known: age, y." in refused(path, None)
    assert "features must name a column of" in refused(path, features=["ages"])
    assert "features must be different columns without the target, got age, y" in refused(path, features=["age", "y"])
    assert "must be a number for regression, got 'a'" in _text_target(path)


def _text_target(path: Path) -> str:
    path.write_text("x,y\n1,a\n2,b\n")
    return refused(path, task="regression")


def test_files_that_were_cut_short(tmp_path: Path) -> None:
    from pyarrow import parquet

    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    parquet.write_table(pa.table({"x": list(range(1000)), "y": [0, 1] * 500}), whole)
    for size in (0, 3, 100, whole.stat().st_size - 9):
        cut.write_bytes(whole.read_bytes()[:size])
        assert "cut.parquet: must be a whole Parquet file, got" in refused(cut)
    np.savez(tmp_path / "whole.npz", x=np.arange(100.0), y=np.arange(100) % 2)
    content = (tmp_path / "whole.npz").read_bytes()
    damaged = [b"", content[:50], content[:-30], content[:200] + b"\xff" * 50 + content[250:]]
    for bad in damaged:
        (tmp_path / "cut.npz").write_bytes(bad)
        assert "cut.npz: must be a whole NPZ file" in refused(tmp_path / "cut.npz")
    np.savez(tmp_path / "o.npz", x=np.array([{}, None], dtype=object), y=np.arange(2))
    assert "must be a whole NPZ file with arrays of plain types" in refused(tmp_path / "o.npz")
    np.savez(tmp_path / "u.npz", x=np.arange(3), y=np.arange(2))
    assert "every array must have the same number of rows, got x: 3, y: 2" in refused(tmp_path / "u.npz")


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,0\n2,1\n")
    read = csv_source.CsvSource._cells

    def change(self: Any, *arguments: Any) -> Any:
        with path.open("a") as file:
            file.write("3,0\n")
        return read(self, *arguments)

    monkeypatch.setattr(csv_source.CsvSource, "_cells", change)
    assert "a.csv: must stay as it is while it is read, got a change; read it again" in refused(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,0\n")
    path.chmod(0)
    assert "must be readable, got Permission denied" in refused(path)


def test_a_hundred_thousand_columns(tmp_path: Path) -> None:
    path, count = tmp_path / "a.csv", 100_000
    names = ",".join(f"x{at}" for at in range(count - 1))
    rows = "\n".join(",".join([f"{row}.5"] * (count - 1)) + f",{row % 2}" for row in range(4))
    path.write_text(f"{names},y\n{rows}\n")
    assert Table(path, "y").inputs.shape == (4, count - 1)
    assert len(inspect_table(path)) == count


def test_a_header_of_an_array_that_is_no_python_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as packed:
        for name, text in {"x": b"{'descr': '<f8', 'fortran_order': False, 'shape': (3", "y": b"  a\n b"}.items():
            packed.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24))
    with pytest.raises(TableError, match=r"x\.npz: must be a whole NPZ file with arrays of plain types, got a header"):
        Table(tmp_path / "x.npz", "y")
