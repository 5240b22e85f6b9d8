"""Tables that are as they should be."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.data import (
    ReaderError,
    Standardize,
    Standardized,
    Table,
    TableError,
    TableWarning,
    inspect_table,
    new_rows,
)
from mytorch.data.table import cells_of
from mytorch.data.transforms import Parts, hold_out, standardize

pa = pytest.importorskip("pyarrow")

MIXED = """\
sepal,color,zip,age,species
1.5,red,10115,3,setosa
2.5,blue,10115,,versicolor
-1,red,20095,5,setosa
4, green,20095,NA,versicolor
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return write(tmp_path / "mixed.csv", MIXED)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def everything(data: Any) -> tuple[Any, Any]:
    return data[:]


def test_numbers_text_and_classes(mixed: Path) -> None:
    table = Table(mixed, "species", encode={"color": "one-hot", "zip": "ordinal"}, missing="mean")
    assert table.columns == ("sepal", "color=blue", "color=green", "color=red", "zip", "age")
    assert table.classes == ("setosa", "versicolor")
    assert table.targets.tolist() == [0, 1, 0, 1]
    rows = [[1.5, 0, 0, 1, 0, 3], [2.5, 1, 0, 0, 0, 4], [-1, 0, 0, 1, 1, 5], [4, 0, 1, 0, 1, 4]]
    torch.testing.assert_close(table.inputs, torch.tensor(rows), rtol=0, atol=0)
    assert everything(table)[0].dtype is torch.float32


def test_a_target_of_numbers_is_a_column(mixed: Path) -> None:
    table = Table(mixed, "sepal", features=["color", "zip"], encode="ordinal", dtype="float64")
    assert table.columns == ("color", "zip")
    assert (table.classes, table.targets.tolist()) == (None, [[1.5], [2.5], [-1.0], [4.0]])
    assert (table.inputs.dtype, table.targets.dtype) == (torch.float64, torch.float64)
    assert table.inputs[:, 1].tolist() == [10115, 10115, 20095, 20095]


@pytest.mark.parametrize(
    ("cells", "task", "classes"),
    [
        (["0", "1", "1", "0"], None, ("0", "1")),
        (["10", "9", "9", "10"], None, ("9", "10")),
        (["1.0", "2.0", "1.0", "2.0"], None, ("1", "2")),
        (["0", "1", "1", "0"], "regression", None),
        (["1", "2", "3", "4"], None, None),
        (["1", "2", "3", "4"], "classification", ("1", "2", "3", "4")),
        (["0.5", "1", "1", "0.5"], None, None),
        (["0.5", "1", "1", "0.5"], "classification", ("0.5", "1")),
        (["True", "False", "True", "True"], None, ("False", "True")),
        (["True", "False", "True", "True"], "classification", ("False", "True")),
        (["True", "False", "True", "True"], "regression", None),
    ],
)
def test_what_are_classes(tmp_path: Path, cells: list[str], task: str | None, classes: Any) -> None:
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{at},{cell}\n" for at, cell in enumerate(cells)))
    table = Table(path, "y", task=task)
    assert table.classes == classes
    assert table.targets.shape == ((4,) if classes else (4, 1))
    if classes:
        number = cells[0].removesuffix(".0")
        assert classes[table.targets[0]] == number
    assert torch.equal(Table(path, like=table.preparation).targets, table.targets)


@pytest.mark.parametrize(("missing", "age"), [("mean", [3, 4, 5, 4]), ("median", [3, 4, 5, 4]), ("drop", [3, 5])])
def test_missing_cells(mixed: Path, missing: str, age: list[float]) -> None:
    table = Table(mixed, "species", features=["age"], missing=missing)
    assert table.inputs.flatten().tolist() == age
    assert table.dropped == 4 - len(age)
    assert (None if table.places is None else table.places.tolist()) == ([0, 2] if missing == "drop" else None)
    assert len(table.targets) == len(age)


def test_a_missing_category_is_the_one_seen_most(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "c,d,y\nb,1,0\n,2,1\nb,3,1\na,4,0\n")
    one_hot = Table(path, "y", encode="one-hot", missing="median")
    assert one_hot.columns == ("c=a", "c=b", "d")
    assert one_hot.inputs[1].tolist() == [0, 1, 2]
    assert Table(path, "y", encode="ordinal", missing="mean").inputs[:, 0].tolist() == [1, 1, 1, 0]


def test_fills_are_learned_from_the_training_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{at if at % 3 else ''},{at % 2}\n" for at in range(40)))
    table = Table(path, "y", missing="mean")
    train, _, test = hold_out(table, test=0.25, seed=1)
    known = torch.tensor([float(at) for at in train.indices.tolist() if at % 3])
    (feature,) = train.preparation["table"]["features"]
    assert feature["fill"] == pytest.approx(known.mean().item())
    assert test.preparation == train.preparation
    inputs, _ = everything(test)
    gone = test.indices % 3 == 0
    torch.testing.assert_close(inputs[gone], torch.full_like(inputs[gone], feature["fill"]))
    assert train.data._raw.data_ptr() == table._raw.data_ptr()
    with pytest.raises(TableError, match="column 'x' must have a value in the rows that are trained on, got none"):
        table.learned_from(torch.tensor([0, 3]))


def test_another_file_is_read_alike(mixed: Path, tmp_path: Path) -> None:
    train = Table(mixed, "species", encode={"color": "one-hot", "zip": "ordinal"}, missing="mean")
    ready = standardize(Parts(train)).training
    stored = json.loads(json.dumps(ready.preparation))
    path = write(tmp_path / "new.csv", "age,zip,color,sepal,seen\n,20095,red,2,x\n8,10115,blue,3,y\n")
    with pytest.warns(TableWarning, match=r"new.csv: columns that were not trained on are not used: 'seen'"):
        new = new_rows(path, stored)
    assert new.targets is None
    raw = torch.tensor([[2, 0, 0, 1, 1, 4], [3, 1, 0, 0, 0, 8.0]])
    torch.testing.assert_close(everything(new)[0], Standardize.from_preparation(stored).apply(raw))
    assert everything(new)[1] is None
    again = Table(mixed, like=stored)
    torch.testing.assert_close(again.inputs, train.inputs, rtol=0, atol=0)
    assert (again.targets.tolist(), again.preparation) == (train.targets.tolist(), train.preparation)
    torch.testing.assert_close(everything(new_rows(mixed, stored))[0], everything(ready)[0], rtol=0, atol=0)
    assert isinstance(new, Standardized)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age,zip,color\n1,2,red\n", r"must have the columns that were trained on, got none named 'sepal'"),
        ("age,zip,color,sepal\n1,10115,pink,2\n", r"row 2, column 'color' must be a category .*'red', got 'pink'"),
        ("age,zip,color,sepal\n1,10115,red,x\n", r"row 2, column 'sepal' must be a number, as in training, got 'x'"),
        ("age,zip,color,sepal,species\n1,10115,red,1,iris\n", r"row 2, column 'species' must be a class .*got 'iris'"),
    ],
)
def test_what_does_not_fit_the_training_is_named(mixed: Path, tmp_path: Path, text: str, message: str) -> None:
    train = Table(mixed, "species", encode={"color": "one-hot", "zip": "ordinal"}, missing="mean")
    with pytest.raises(TableError, match=message):
        Table(write(tmp_path / "new.csv", text), like=train.preparation)


def test_like_must_be_a_preparation(mixed: Path) -> None:
    with pytest.raises(ArgumentError, match=r"mixed.csv: like must be the preparation of a Table, got one that lacks"):
        Table(mixed, like={"standardize": {}})
    train = Table(mixed, "species", features=["sepal"])
    with pytest.raises(ArgumentError, match="target must be 'species', as in training, got 'zip'"):
        Table(mixed, "zip", like=train.preparation)


def test_a_new_row_is_not_dropped_in_silence(mixed: Path) -> None:
    train = Table(mixed, "species", features=["sepal", "age"], missing="drop")
    with pytest.raises(TableError, match='every row must be whole for a model trained with missing = "drop", got 2'):
        new_rows(mixed, train.preparation)


def test_delimiters_decimals_encodings_and_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "größe;y\n1,5;0,25\n2;0,75\n", "latin-1")
    options: dict[str, Any] = {"delimiter": ";", "decimal": ",", "encoding": "latin-1"}
    table = Table(path, "y", **options)
    assert (table.columns, table.inputs.tolist(), table.targets.tolist()) == (
        ("größe",),
        [[1.5], [2.0]],
        [[0.25], [0.75]],
    )
    assert Table(path, like=table.preparation).inputs.tolist() == [[1.5], [2.0]]
    wide = write(tmp_path / "b.csv", "x,y\n1,a\n2,ü\n", "utf-16")
    assert Table(wide, "y", encoding="utf-16").classes == ("a", "ü")
    tabs = write(tmp_path / "c.tsv", "1\ta\n2\tb\n")
    assert Table(tabs, "x1", header=False).columns == ("x0",)
    marked = write(tmp_path / "d.csv", "\ufeffx,y\r\n1,a\r\n\r\n2,b\r\n")
    assert Table(marked, "y").inputs.tolist() == [[1.0], [2.0]]


def test_parquet(tmp_path: Path) -> None:
    from pyarrow import parquet

    columns = {"x.1": [1.5, None, -2.0], "c": pa.array(["u", "v", "u"]).dictionary_encode(), "b": [True, False, True]}
    parquet.write_table(pa.table({**columns, "y": [1, 2, 3]}), tmp_path / "a.parquet")
    table = Table(tmp_path / "a.parquet", "y", encode="one-hot", missing="mean")
    assert table.columns == ("x.1", "c=u", "c=v", "b")
    assert table.inputs.tolist() == [[1.5, 1, 0, 1], [-0.25, 0, 1, 0], [-2, 1, 0, 1]]
    assert Table(tmp_path / "a.parquet", "b", features=["c"], encode="ordinal").classes == ("false", "true")


def test_npz_needs_no_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([[1.0, 2], [3, 4]]), c=np.array(["a", "b"]), y=np.array([0.5, 2]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = Table(tmp_path / "a.npz", "y", encode="one-hot")
    assert table.columns == ("x0", "x1", "c=a", "c=b")
    assert table.inputs.tolist() == [[1, 2, 1, 0], [3, 4, 0, 1]]
    with pytest.raises(ReaderError, match=r"reads \.csv files, is not installed.*'./mytorch-data\[tables\]'"):
        Table(write(tmp_path / "a.csv", "x,y\n1,2\n"), "y")


def test_a_column_that_turns_to_text_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mytorch.data.table.csv_source.BLOCK", 64)
    rows = [f"{at},{at if at < 40 else 'n' + str(at)},{at % 2}" for at in range(100)]
    path = write(tmp_path / "a.csv", "x,c,y\n" + "\n".join(rows) + "\n")
    table = Table(path, "y", encode={"c": "ordinal"})
    assert table.inputs[:, 0].tolist() == list(range(100))
    assert Table(path, "y", encode="ordinal").inputs.tolist() == table.inputs.tolist()
    with pytest.raises(TableError, match=r"row 42, column 'c' must be a number, got 'n40'; encode = \"one-hot\""):
        Table(path, "y")
    assert [summary.kind for summary in inspect_table(path)] == ["number", "text", "number"]


def test_looking_at_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "n,w,t,d,b,e\n1.5,3,u,2024-01-31,true,\n,-4,v,2024-02-01,False,\n2,3,u,,true,\n")
    number, whole, text, date, boolean, empty = Table.inspect(path)
    assert (number.kind, number.missing, number.low, number.high, number.whole) == ("number", 1, 1.5, 2.0, False)
    assert (whole.kind, whole.distinct, whole.whole, whole.examples) == ("number", 2, True, ("3", "-4"))
    assert (text.kind, text.distinct, text.examples, text.low) == ("text", 2, ("u", "v"), None)
    assert (date.kind, date.missing) == ("date", 1)
    assert (boolean.kind, boolean.examples) == ("boolean", ("true", "false"))
    assert (empty.missing, empty.distinct) == (3, 0)


def test_cells_as_text(mixed: Path, tmp_path: Path) -> None:
    preparation = Table(mixed, "species", encode="one-hot", missing="mean").preparation
    names, cells = cells_of(mixed, None, preparation)
    assert names == ["sepal", "color", "zip", "age", "species"]
    assert [row[:4] for row in cells][-1] == ["4", " green", "20095", "NA"]
    names, cells = cells_of(mixed, ["age", "sepal"], preparation)
    assert list(cells) == [["3", "1.5"], ["", "2.5"], ["5", "-1"], ["NA", "4"]]
    indexed = write(tmp_path / "indexed.csv", ",sepal , color,zip,age,species\n0,1,red,10115,3,setosa\n")
    names, cells = cells_of(indexed, None, preparation)
    assert (names, list(cells)) == (
        ["sepal", "color", "zip", "age", "species"],
        [["1", "red", "10115", "3", "setosa"]],
    )
    np.savez(tmp_path / "a.npz", x=np.array([1.5, 2]), c=np.array(["a", "b"]), y=np.array([1, 2]))
    preparation = Table(tmp_path / "a.npz", "y", encode="one-hot").preparation
    assert list(cells_of(tmp_path / "a.npz", ["c", "x"], preparation)[1]) == [["a", "1.5"], ["b", "2.0"]]
    with pytest.raises(TableError, match=r"a.npz: must have the columns to keep, got none named 'C'. Nearest: c."):
        cells_of(tmp_path / "a.npz", ["C"], preparation)
