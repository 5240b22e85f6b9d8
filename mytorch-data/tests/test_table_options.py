"""Options of a table for what real files hold: markers, units, dates, unseen categories, headers with spaces."""

import gzip
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import MytorchError
from mytorch.data import Table, TableError, TableWarning, inspect_table, missing_lines, new_rows
from mytorch.data.transforms import hold_out

pa = pytest.importorskip("pyarrow")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, target: str | None = "y", **options: Any) -> str:
    with pytest.raises(MytorchError) as info:
        Table(path, target, **options)
    assert path.name in str(info.value)
    return str(info.value)


def stored(table: Table) -> dict[str, Any]:
    """The preparation, as a run keeps it."""
    kept: dict[str, Any] = json.loads(json.dumps(table.preparation))
    return kept


# Unseen categories


@pytest.fixture
def cities(tmp_path: Path) -> Path:
    return write(tmp_path / "cities.csv", "a,city,y\n1,Rom,0\n2,Ulm,1\n3,Rom,0\n4,Wien,1\n")


def test_an_unseen_category_is_none_of_the_known(cities: Path, tmp_path: Path) -> None:
    new = write(tmp_path / "new.csv", "a,city\n0.5,Rom\n1.5,Bonn\n")
    plain = Table(cities, "y", encode="one-hot")
    with pytest.raises(
        MytorchError, match=r"got 'Bonn'; train with unseen = \"none\" to take it as none of the known"
    ):
        new_rows(new, plain.preparation)
    table = Table(cities, "y", encode="one-hot", unseen="none")
    with pytest.warns(TableWarning, match=r"column 'city' has a category .* in 1 row, taken as none .*: 'Bonn'"):
        rows = new_rows(new, stored(table))
    assert rows[:][0].tolist() == [[0.5, 1, 0, 0], [1.5, 0, 0, 0]]
    with pytest.warns(TableWarning, match="Bonn"):
        assert torch.equal(Table(new, like=plain.preparation, unseen="none").inputs, rows[:][0])


@pytest.mark.parametrize(("encode", "filled"), [("ordinal", [0.0]), ("one-hot", [1.0, 0.0, 0.0])])
def test_an_unseen_category_is_filled_in_like_a_missing_cell(cities: Path, encode: str, filled: list[float]) -> None:
    table = Table(cities, "y", features=["city"], encode=encode, unseen="missing", missing="mean")
    new = write(cities.parent / "new.csv", "city\nBonn\n")
    with pytest.warns(TableWarning, match="taken as a missing cell: 'Bonn'"):
        assert new_rows(new, stored(table))[:][0].tolist() == [filled]


def test_what_unseen_needs(cities: Path) -> None:
    assert "got the ordinal 'city'; unseen = \"missing\" fills" in refused(cities, encode="ordinal", unseen="none")
    assert 'must go with missing = "mean" or "median"' in refused(cities, encode="one-hot", unseen="missing")
    assert "unseen must be one of none, missing, got 'non'. Nearest: none" in refused(cities, unseen="non")


def test_an_unseen_class_is_refused_all_the_same(cities: Path) -> None:
    table = Table(cities, "y", features=["a"], unseen="none")
    assert "row 2, column 'y' must be a class that was trained on, 0, 1, got 7" in refused(
        write(cities.parent / "new.csv", "a,y\n1,7\n"), None, like=table.preparation
    )


# Missing cells


def test_which_texts_mean_missing_is_an_option(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'country,n,y\n"NA",1,0.5\nDE,-,1.5\nNA,3,2.5\n')
    told = refused(path, encode="one-hot")
    assert "row 2, column 'country' must be given, got a missing cell ('NA'); missing" in told
    assert told.endswith("missing_markers = { country = [] } takes it as text")
    told = refused(path, encode="one-hot", missing_markers={"country": []}, features=["n"])
    assert "column 'n' must be a number, as most of this column, got '-'" in told
    assert 'missing_markers = { n = ["-"] } if it means a missing cell' in told
    table = Table(path, "y", encode="one-hot", missing="mean", missing_markers={"country": [], "n": ["-"]})
    assert table.columns == ("country=DE", "country=NA", "n")
    assert table.inputs.tolist() == [[0, 1, 1], [1, 0, 2], [0, 1, 3]]
    new = write(tmp_path / "new.csv", "country,n\nNA,-\n")
    assert new_rows(new, stored(table))[:][0].tolist() == [[0, 1, 2]]
    everywhere = Table(path, "y", encode="one-hot", missing="mean", missing_markers=["NA", "-"])
    assert everywhere.inputs.tolist() == [[1, 1], [1, 2], [1, 3]]


def test_a_number_may_stand_for_a_missing_cell_in_any_format(tmp_path: Path) -> None:
    from pyarrow import parquet

    path = write(tmp_path / "a.csv", "x,y\n1,0.5\n-999,1.5\n3,2.5\n-999.0,3.5\n")
    values = [1.0, -999.0, 3.0, -999.0]
    parquet.write_table(pa.table({"x": values, "y": [0.5, 1.5, 2.5, 3.5]}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", x=np.array(values), y=np.array([0.5, 1.5, 2.5, 3.5]))
    for file in (path, tmp_path / "a.parquet", tmp_path / "a.npz"):
        table = Table(file, "y", missing="mean", missing_markers=["-999"])
        assert table.inputs.flatten().tolist() == [1, 2, 3, 2]
        assert sum(table.preparation["table"]["features"][0]["gone"].values()) == 2


def test_what_is_filled_is_named_and_counted(tmp_path: Path) -> None:
    rows = [f"{'NA' if at % 4 == 0 else 'DE'},{'' if at % 5 == 0 else at},{at * 0.5}" for at in range(20)]
    path = write(tmp_path / "a.csv", "country,n,y\n" + "\n".join(rows) + "\n")
    table = Table(path, "y", encode="one-hot", missing="mean")
    country, number = missing_lines(table.preparation)
    assert country == "country: 5 of 20 cells are missing ('NA' in 5), filled with 'DE', which is seen most"
    assert number == "n: 4 of 20 cells are missing (empty in 4), filled with the mean, 10"
    training = hold_out(table, test=0.5, seed=0).training
    mean = training.preparation["table"]["features"][1]["fill"]
    assert missing_lines(training.preparation)[1].endswith(f"the mean, {mean:.6g}")
    dropped = Table(path, "y", encode="one-hot", missing="drop")
    assert missing_lines(dropped.preparation)[1].endswith("(empty in 4), their rows are left out")
    assert missing_lines(Table(path, "y", features=["n"], missing="mean").preparation) == [number]
    assert missing_lines(None) == missing_lines({"standardize": {}}) == []


def test_indicators_tell_where_a_cell_was_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "n,c,k,y\n1,u,1,0.5\n,NA,2,1.5\n3,u,3,2.5\n5,v,4,3.5\n")
    table = Table(path, "y", encode="one-hot", missing="median", missing_indicators=True)
    assert table.columns == ("n", "n is missing", "c=u", "c=v", "c is missing", "k")
    assert table.inputs[1].tolist() == [3, 1, 1, 0, 1, 2]
    assert table.inputs[0].tolist() == [1, 0, 1, 0, 0, 1]
    new = write(tmp_path / "new.csv", "n,c,k\n,v,1\n2,,1\n")
    assert new_rows(new, stored(table))[:][0].tolist() == [[3, 1, 0, 1, 0, 1], [2, 0, 1, 0, 1, 1]]
    assert 'must go with missing = "mean" or "median", got missing = \'drop\'' in refused(
        path, encode="one-hot", missing="drop", missing_indicators=True
    )


# Names of columns


def test_spaces_around_a_name_do_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a, b, y\n0.5, 1, no\n1.5, 2, yes\n")
    table = Table(path, " y", features=["a", " b "])
    assert (table.columns, table.classes) == (("a", "b"), ("no", "yes"))
    new = write(tmp_path / "new.csv", "b ,a\n3,0.5\n")
    assert new_rows(new, stored(table))[:][0].tolist() == [[0.5, 3]]
    twice = write(tmp_path / "twice.csv", "a, a,y\n1,2,3\n")
    told = "different names, got 'a' for columns 1, 2; spaces around a name do not count"
    assert told in refused(twice)


def test_a_column_without_a_name_blocks_nothing_where_it_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ",a,,y\n0,0.5,u,no\n1,1.5,v,yes\n")
    assert "got none for column 1, 3; leave it out by naming the others in features" in refused(path)
    table = Table(path, "y", features=["a"])
    assert table.inputs.tolist() == [[0.5], [1.5]]
    assert new_rows(path, stored(table))[:][0].tolist() == [[0.5], [1.5]]
    assert [column.name for column in inspect_table(path)] == ["a", "y"]
    assert "columns must have names, got none for column 1, 2" in refused(write(tmp_path / "b.csv", ",\n1,2\n"))
    assert "row 3 must have 4 cells, got 2" in refused(
        write(tmp_path / "c.csv", ",a,,y\n0,1,2,3\n1,2\n"), features=["a"]
    )


# Numbers


@pytest.mark.parametrize(
    ("cells", "options", "values"),
    [
        (['"1,000"', '"-1,234,567.5"', "5"], {"thousands": ","}, [1000, -1234567.5, 5]),
        (["1'000", "2", "3"], {"thousands": "'"}, [1000, 2, 3]),
        (["1 000", "1\u202f234 567", "3"], {"thousands": " "}, [1000, 1234567, 3]),
        (["$5", "-$6.5", "$ 7"], {"units": ["$"]}, [5, -6.5, 7]),
        (["5%", "12 %", "-1%"], {"units": "%"}, [5, 12, -1]),
        (["5 kg", "6kg", "7"], {"units": ["kg"]}, [5, 6, 7]),
        (['"1.234,5"', "2", '"0,5"'], {"thousands": ".", "decimal": ","}, [1234.5, 2, 0.5]),
        (['"€1,000.50"', "€2", "€3"], {"thousands": ",", "units": ["€"]}, [1000.5, 2, 3]),
        (["+1", "2", "3"], {}, [1, 2, 3]),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, cells: list[str], options: dict[str, Any], values: Any) -> None:
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{cell},{at}.5\n" for at, cell in enumerate(cells)))
    if options:
        (named,) = options.items() if len(options) == 1 else [next(iter(options.items()))]
        if "kg" not in str(options):  # nobody can know that this is no code
            assert f"{named[0]} = " in refused(path)
            found = inspect_table(path)[0].reading
            assert Table(path, "y", **found).inputs.flatten().tolist() == values
    if "decimal" not in options:
        table = Table(path, "y", **options)
        assert table.inputs.flatten().tolist() == values
        assert Table(path, like=stored(table)).inputs.flatten().tolist() == values


def test_what_is_no_number_under_an_option_stays_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'x,y\n"1,5",0.5\n2,1.5\n')
    assert "must be a number, got '1,5'; decimal" in refused(path, thousands=",")
    mixed = write(tmp_path / "b.csv", "x,y\n5 kg,0.5\n3 lb,1.5\n")
    assert "column 'x' must have one unit, got 'kg' and 'lb'; convert" in refused(mixed, units=["kg", "lb"])
    assert "thousands must be one of" in refused(path, thousands=";")
    assert "units must be texts without digits" in refused(path, units=["1"])


# Dates


@pytest.mark.parametrize(
    ("days", "options", "parts"),
    [
        (["2024-01-31", "2024-02-01"], {}, [[2024, 1, 2, 0], [2024, 2, 3, 1]]),
        (["31.01.2024", "01.02.2024"], {}, [[2024, 1, 2, 0], [2024, 2, 3, 1]]),
        (["1/31/2024", "2/1/2024"], {}, [[2024, 1, 2, 0], [2024, 2, 3, 1]]),
        (["01/02/2024", "02/02/2024"], {"day_first": True}, [[2024, 2, 3, 0], [2024, 2, 4, 1]]),
        (["01/02/2024", "02/02/2024"], {"day_first": False}, [[2024, 1, 1, 0], [2024, 2, 4, 31]]),
    ],
)
def test_dates_become_parts(
    tmp_path: Path, days: list[str], options: dict[str, Any], parts: list[list[float]]
) -> None:
    path = write(tmp_path / "a.csv", "when,y\n" + "".join(f"{day},{at}.5\n" for at, day in enumerate(days)))
    table = Table(path, "y", dates="parts", **options)
    assert table.columns == ("when year", "when month", "when weekday", "when days")
    assert table.inputs.tolist() == parts
    assert Table(path, like=stored(table)).inputs.tolist() == parts


def test_new_dates_count_from_the_first_day_of_the_training(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "when,y\n2024-01-31 06:00,1.5\n,2.5\n2024-02-02T18:30:00Z,3.5\n")
    table = Table(path, "y", dates=["days", "hour"], missing="mean")
    assert table.inputs.tolist() == [[0.25, 6], [1.5104166269302368, 12.25], [2.7708332538604736, 18.5]]
    new = write(tmp_path / "new.csv", "when\n2025-01-31\n2024-01-30 12:00 pm\n")
    assert new_rows(new, stored(table))[:][0].tolist() == [[366, 0], [-0.5, 12]]
    with pytest.raises(MytorchError, match=r"row 2, column 'when' must be a date such as .* got '2025-02-31'"):
        new_rows(write(tmp_path / "bad.csv", "when\n2025-02-31\n"), table.preparation)


def test_a_time_of_day_has_an_hour(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "at,y\n06:00,1.5\n6:30 PM,2.5\n")
    table = Table(path, "y", dates="parts")
    assert (table.columns, table.inputs.flatten().tolist()) == (("at hour",), [6, 18.5])
    path = write(tmp_path / "b.csv", "at,y\n2024-01-01 06:00,1.5\n2024-01-02 07:30,2.5\n")
    assert Table(path, "y", dates="parts").columns[-1] == "at hour"


def test_dates_of_other_formats(tmp_path: Path) -> None:
    from pyarrow import parquet

    days = np.array(["2024-01-31T06:00", "2024-02-01T00:00"], "datetime64[m]")
    parquet.write_table(
        pa.table({"when": pa.array(days.astype("datetime64[ns]")), "y": [0.5, 1.5]}), tmp_path / "a.parquet"
    )
    np.savez(tmp_path / "a.npz", when=days, y=np.array([0.5, 1.5]))
    for name in ("a.parquet", "a.npz"):
        table = Table(tmp_path / name, "y", dates=["month", "day", "days"])
        assert table.inputs.tolist() == [[1, 31, 0.25], [2, 1, 1]]
        assert Table(tmp_path / name, like=stored(table)).inputs.tolist() == table.inputs.tolist()


def test_dates_that_cannot_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "when,y\n01/02/2024,0.5\n02/02/2024,1.5\n")
    assert "column 'when' must show whether the day stands before the month" in refused(path, dates="parts")
    assert "dates ('01/02/2024'); dates = \"parts\" makes year" in refused(path)
    assert "a part of dates must be one of year, month, day" in refused(path, dates=["moon"])
    path = write(tmp_path / "b.csv", "when,y\n2024-01-02,0.5\n2024-02-02,1.5\nsoon,2.5\n")
    assert "row 4, column 'when' must be a date such as 2024-01-31" in refused(path, dates="parts")
    path = write(tmp_path / "c.csv", "when,y\n2024-01-02,0.5\n2024-02-02,1.5\n10:00,2.5\n")
    assert "row 4, column 'when' must be a date" in refused(path, dates="parts")


# Classes beyond 2^53


def test_large_whole_numbers_are_classes_by_their_text(tmp_path: Path) -> None:
    from pyarrow import parquet

    names = ["9007199254740992", "9007199254740993"]
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{at},{names[at % 2]}\n" for at in range(6)))
    values = [int(names[at % 2]) for at in range(6)]
    parquet.write_table(pa.table({"x": list(range(6)), "y": values}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", x=np.arange(6), y=np.array(values))
    for file in (path, tmp_path / "a.parquet", tmp_path / "a.npz"):
        table = Table(file, "y")
        assert (table.classes, table.targets.tolist()) == (tuple(names), [0, 1, 0, 1, 0, 1])
        assert torch.equal(Table(file, like=stored(table)).targets, table.targets)
        assert inspect_table(file)[1].distinct == 2
        assert inspect_table(file)[1].kind == "number"


def test_large_numbers_that_are_many_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "x,y\n" + "".join(f"{at},{at}e20\n" for at in range(1, 40)))
    table = Table(path, "y")
    assert table.classes is None
    assert table.targets[2].item() == pytest.approx(3e20)
    path = write(tmp_path / "b.csv", "x,y\n" + "".join(f"{at}e20,{at}\n" for at in range(1, 2000)))
    column = inspect_table(path)[0]
    assert (column.kind, column.low, column.high, column.distinct) == ("number", 1e20, 1.999e23, 1000)


# Files


def test_a_packed_file(tmp_path: Path) -> None:
    content = b"a,y\n1,0\n2,1\n" * 9
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a;y\n1;0\n2;1\n"))
    table = Table(tmp_path / "a.csv.gz", "y", delimiter=";")
    assert table.inputs.tolist() == [[1], [2]]
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a,y\n1,0\nx,1\n"))
    assert "b.csv.gz: row 3, column 'a' must be a number" in refused(tmp_path / "b.csv.gz")
    for name, bad in (("c.csv.gz", content), ("d.csv.gz", gzip.compress(content)[:-12])):
        (tmp_path / name).write_bytes(bad)
        assert "must be a whole gzip file" in refused(tmp_path / name)


def test_an_address_is_called_so() -> None:
    for address in ("https://example.com/iris.csv", Path("https://example.com/iris.csv"), "s3://bucket/a.parquet"):
        with pytest.raises(MytorchError, match=r"got an address; download it first, for example by: curl -LO \w+://"):
            Table(address, "y")


def test_another_delimiter_is_proposed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a;b;y\n1,5;2;3\n2,5;3;4\n")
    assert (
        "none beside 'a;b;y'. If the columns are separated by something else, choose delimiter = ';' and decimal = "
        "',' (--delimiter ';' --decimal ,), which fits every row." in refused(path, "a;b;y")
    )
    with pytest.raises(
        TableError, match=r"row 2 must have 1 cells, got 2, .* or choose delimiter = ';' and decimal = ','"
    ):
        inspect_table(path)
    path = write(tmp_path / "b.csv", "a\tb\n1\t2\n")
    assert "choose delimiter = '\\t'" in refused(path, "b")


def test_no_message_is_long(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    cases = [
        (f'a,y\n"{long},1\n', {}),
        (f"{long},y\n1,2\n", {"features": ["z"]}),
        (f"{long},y\n1,2\n", {"features": [long + "z"]}),
        (f"a,y\n{long},1\n", {}),
        (f"a,y\n1,{long}\n2,{long}\n", {}),
        (f"{long}\n1\n", {}),
        (f"{long},{long}\n1,2\n", {}),
        (f"a,y\n1,2\n{long}\n", {}),
    ]
    for at, (text, options) in enumerate(cases):
        told = refused(write(tmp_path / f"{at}.csv", text), **options)
        assert len(told) < 2000, f"case {at}"


# What a file declares


def test_what_a_header_declares_is_judged_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet

    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(1_000_000), y=np.zeros(1_000_000))
    parquet.write_table(pa.table({"x": np.zeros(1_000_000), "y": np.zeros(1_000_000)}), tmp_path / "a.parquet")
    monkeypatch.setattr(sys.modules["mytorch.plugins.memory"], "memory", lambda: 15_000_000)
    for name in ("a.npz", "a.parquet"):
        told = refused(tmp_path / name)
        assert f"{name}: 1000000 rows of 2 columns must fit into the memory of this machine, 15.0 MB, got" in told
        assert "read fewer columns by features, or fewer rows" in told


def test_a_header_that_declares_more_than_there_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("x.npy", header_of(500_000_000) + bytes(80))
        file.writestr("y.npy", header_of(10) + bytes(80))
    told = refused(tmp_path / "b.npz")
    assert "array 'x' must be whole, got 208 bytes where its shape (500000000,) needs 4000000000" in told


def header_of(rows: int) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "<f8", "fortran_order": False, "shape": (rows,)})
    return written.getvalue()


def test_more_columns_than_anybody_looks_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import parquet

    for module in ("source", "parquet_source"):
        monkeypatch.setattr(f"mytorch.data.table.{module}.MOST_COLUMNS", 100)
    names = [f"x{at}" for at in range(101)]
    parquet.write_table(pa.table({name: [1.0, 2.0] for name in names}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 101)))
    write(tmp_path / "a.csv", ",".join(names) + "\n" + ",".join("1" * 101) + "\n")
    for name in ("a.parquet", "a.npz", "a.csv"):
        assert f"{name}: must have at most 100 columns" in refused(tmp_path / name, "x0")
