"""Tables of all sorts, from a look at them to new rows: whatever is wrong, a short error of ours names the file.

Each input is a table with cells, names, bytes and options changed at random; the same ones every time.
"""

import gzip
import io
import random
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from mytorch.core import MytorchError
from mytorch.data import Table, new_rows
from mytorch.experiments.new.new_experiment import new_experiment
from mytorch.plugins import MytorchWarning

pa = pytest.importorskip("pyarrow")
openpyxl = pytest.importorskip("openpyxl")
INPUTS, PARTS = 450, 3
LONGEST, SECONDS = 4000, 20.0
SUFFIXES = (".csv", ".csv", ".csv", ".csv", ".tsv", ".txt", ".csv.gz", ".parquet", ".npz", ".xlsx")

CELLS = [
    "",
    "NA",
    "-",
    "?",
    "nan",
    "inf",
    "1e309",
    "-0",
    "1,000",
    "1.000,5",
    "$5",
    "5 %",
    "5 kg",
    "x" * 5000,
    '"',
    "\\",
]
CELLS += ["2024-02-30", "01/02/2024", "31.12.2024 25:00", "10:00", "true", "9007199254740993", "1_0", "٣", "\0", "é\n"]
NAMES = ["", " ", " a", "a", "y", "y ", "=1+1", "n" * 3000, "a=b", "id", '"', "\t", "é", "\u202e", "x0", "[0]"]
OPTIONS = {
    "encode": [None, "one-hot", "ordinal", {"b": "one-hot"}, {"zzz": "ordinal"}],
    "unseen": [None, None, "none", "missing"],
    "missing": [None, "mean", "median", "drop"],
    "missing_indicators": [False, False, True],
    "missing_markers": [["-"], [], {"b": ["-", "5"]}, ["NA", "?"]],
    "dates": [None, "parts", ["days", "hour"], ["moon"]],
    "day_first": [None, True, False],
    "delimiter": [",", ";", "\t", "|", "e"],
    "decimal": [".", ","],
    "thousands": [None, ",", ".", " "],
    "units": [(), ["$", "%"], ["kg"]],
    "encoding": ["utf-8", "latin-1", "utf-16", "cp1252"],
    "header": [True, True, False],
    "task": [None, "classification", "regression"],
}
READING = ("missing_markers", "delimiter", "decimal", "thousands", "units", "encoding", "header")


def columns_of(draw):
    """Names and cells of a table that is whole."""
    rows = draw.choice([0, 1, 3, 12, 40, 40, 40, 40])
    kinds = [
        lambda at: f"{draw.gauss(0, 3):.3f}",
        lambda at: str(draw.randint(0, 4)),
        lambda at: draw.choice(["Rom", "Ulm", "Wien"]),
        lambda at: f"2024-{at % 12 + 1:02}-{at % 28 + 1:02}",
        lambda at: draw.choice(["true", "false"]),
        lambda at: str(at),
        lambda at: f"{at},{draw.randint(100, 999)}",
        lambda at: f"name {at}",
    ]
    names = [*"abcd"[: draw.randint(1, 4)], "y"]
    chosen = [*draw.choices(kinds, k=len(names) - 1), draw.choice(kinds[: draw.choice([3, 3, 3, 8])])]
    return names, [[kind(at) for at in range(rows)] for kind in chosen]


def spoil(draw, names, columns):
    """Some names and cells replaced by what people's tables hold."""
    for _ in range(draw.choice([0, 0, 0, 1, 2, 20])):
        column = draw.choice(columns)
        if column:
            column[draw.randrange(len(column))] = draw.choice(CELLS)
    if draw.random() < 0.15:
        names[draw.randrange(len(names))] = draw.choice(NAMES)


def as_text(draw, names, columns, usual):
    delimiter = draw.choice([*[usual] * 15, ";", "\t", "|"])
    lines = [names, *map(list, zip(*columns, strict=True))]
    if draw.random() < 0.05:
        draw.choice(lines).append("more")
    quoted = draw.random() < 0.8

    def written(cell):
        return '"' + cell.replace('"', '""') + '"' if quoted and set(cell) & set(',;\t|"\n') else cell

    text = draw.choice(["\n", "\r\n"]).join(delimiter.join(map(written, line)) for line in lines)
    return text.encode(draw.choice([*["utf-8"] * 10, "latin-1", "utf-16"]), "replace")


def written_as(draw, suffix, names, columns):
    """The bytes of a file of some format."""
    if suffix == ".parquet":
        from pyarrow import parquet

        written = io.BytesIO()
        cast = draw.choice([pa.array, lambda cells: pa.array([float(len(cell)) for cell in cells])])
        parquet.write_table(pa.table([cast(column) for column in columns], names=names), written)
        content = written.getvalue()
    elif suffix == ".npz":
        written = io.BytesIO()
        arrays = {name.replace("/", "_"): np.array(column) for name, column in zip(names, columns, strict=True)}
        arrays |= draw.choice([{}, {"z": np.zeros((len(columns[0]), 2))}, {"z": np.zeros(3, complex)}])
        np.savez(written, **{name or "empty": array for name, array in arrays.items() if name != "file"})
        content = written.getvalue()
    elif suffix == ".xlsx":
        book = openpyxl.Workbook()
        for line in [names, *zip(*columns, strict=True)]:
            book.active.append([draw.choice([cell.replace("\0", ""), len(cell)]) for cell in line])
        written = io.BytesIO()
        book.save(written)
        content = written.getvalue()
    else:
        content = as_text(draw, names, columns, "\t" if suffix == ".tsv" else ",")
    return gzip.compress(content) if suffix.endswith(".gz") else content


def content_of(draw, suffix):
    """The bytes of a file, whole or damaged."""
    names, columns = columns_of(draw)
    spoil(draw, names, columns)
    content = written_as(draw, suffix, names, columns)
    return damaged(draw, content) if draw.random() < 0.2 else content


def damaged(draw, content):
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 4, 30])):
        at = draw.randrange(len(content) + 1)
        content[at : at + draw.choice([0, 1, 5])] = bytes(draw.randrange(256) for _ in range(draw.choice([0, 1, 3])))
    return bytes(content[: draw.choice([len(content), len(content), draw.randrange(len(content) + 1)])])


def options_of(draw):
    chosen = {name: draw.choice(values) for name, values in OPTIONS.items() if draw.random() < 0.04}
    if draw.random() < 0.9:
        chosen |= {"encode": "one-hot", "missing": draw.choice(["mean", "drop"]), "dates": "parts"}
    return chosen


def attempt(path, action):
    """Whether an action on a file succeeds; an error must be ours, short, and name the file."""
    started = time.process_time()
    try:
        action()
    except MytorchError as error:
        told = "\n".join([str(error), *getattr(error, "__notes__", ())])
        assert path.name in told, told
        assert len(told) <= LONGEST, f"{len(told)} characters: {told[:300]}"
        assert "unexpected" not in told
        assert "Traceback" not in told
        return False
    finally:
        assert time.process_time() - started < SECONDS
    return True


def read_and_predict(path, target, options):
    table = Table(path, target, **options)
    assert table.inputs.isfinite().all()
    assert len(table.columns) == table.inputs.shape[1]
    if table.dropped == 0:
        assert new_rows(path, table.preparation)[:][0].shape == table.inputs.shape


@pytest.mark.parametrize("part", range(PARTS))
def test_a_table_is_used_or_refused_in_words(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = []
    for number in range(part * INPUTS // PARTS, (part + 1) * INPUTS // PARTS):
        draw = random.Random(number)
        path = Path(f"table{number}{draw.choice(SUFFIXES)}")
        path.write_bytes(content_of(draw, path.name.removeprefix(f"table{number}")))
        options = options_of(draw)
        target = draw.choice([*["y"] * 12, "a", "x0", "zzz", None])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", MytorchWarning)
                done.append(attempt(path, lambda: read_and_predict(path, target, options)))  # noqa: B023
                reading = {name: options[name] for name in READING if name in options}
                rest = {"reading": reading, "dates": len(options) % 2 == 0, "force": True}
                done.append(attempt(path, lambda: new_experiment(path, target, "out.toml", **rest)))  # noqa: B023
        except BaseException as error:
            error.add_note(f"input {number}: {path}, target {target!r}, {options}")
            raise
        path.unlink()
    assert 0.05 < sum(done) / len(done) < 0.9, "both what can be used and what cannot must be tried"
