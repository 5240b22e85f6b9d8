"""Sequences from a table in long format: the steps that they must have, in the order of time."""

import doctest
import warnings

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError, View
from mytorch.data import Sequences, TableError, TableWarning, hold_out
from mytorch.data.sequences import PADDING, sequences

COLUMNS = {"id": "who", "time": "when"}


@pytest.fixture
def table():
    """Rows of 12 sequences in no order, with a number and a category for each step and a class for each sequence."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 9, 12)
    who = np.repeat(np.arange(12), lengths)
    when = np.concatenate([np.sort(draw.choice(50, length, replace=False)) for length in lengths])
    rows = {
        "who": np.array([f"patient {number}" for number in who]),
        "when": when,
        "x": draw.normal(size=len(who)) + 5,
        "kind": np.array(["rest", "run"])[draw.integers(0, 2, len(who))],
        "y": np.array(["ill", "well"])[who % 2],
    }
    order = draw.permutation(len(who))
    return {name: column[order] for name, column in rows.items()}


def saved(path, table):
    np.savez(path, **table)
    return path


def expected(table, name):
    """The x of a sequence in the order of time."""
    rows = np.flatnonzero(table["who"] == name)
    return torch.from_numpy(table["x"][rows[np.argsort(table["when"][rows])]])


@pytest.mark.filterwarnings("ignore::mytorch.data.TableWarning")
def test_each_sequence_has_its_steps_in_the_order_of_time(tmp_path, table):
    data = Sequences(saved(tmp_path / "t.npz", table), "y", encode="one-hot", dtype="float64", **COLUMNS)
    column, names = data.row_names
    assert (column, names) == ("who", list(dict.fromkeys(table["who"])))
    assert data.columns == ("x", "kind=rest", "kind=run")
    inputs, targets = data[:]
    for row, name in enumerate(names):
        x = expected(table, name)
        assert inputs["lengths"][row] == len(x)
        torch.testing.assert_close(inputs["x"][row, : len(x), 0], x, rtol=0, atol=0)
        assert (inputs["x"][row, len(x) :] == 0).all()
        assert data.classes[targets[row]] == table["y"][table["who"] == name][0]
    torch.testing.assert_close(data.targets, targets)
    assert View(data, [2, 5]).row_names == ("who", [names[2], names[5]])


def test_dates_are_times_and_numbers_are_targets(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.csv"
    path.write_text("id;at;x;y\na;02.01.2024;2,5;0,1\nb;01.03.2024;7;3\na;31.12.2023;1,5;0,1\n")
    data = Sequences(path, "y", id="id", time="at", delimiter=";", decimal=",", task="regression")
    inputs, targets = data[:]
    assert inputs["x"].squeeze(2).tolist() == [[1.5, 2.5], [7.0, 0.0]]
    assert targets.tolist() == [[pytest.approx(0.1)], [3.0]]
    assert data.exact_at(torch.tensor([0]))[1].tolist() == [[0.1]]


@pytest.mark.filterwarnings("ignore::mytorch.data.TableWarning")
def test_classes_of_steps(tmp_path, table):
    path = saved(tmp_path / "t.npz", table)
    data = Sequences(path, "kind", features=["x"], per_step=True, **COLUMNS)
    inputs, targets = data[:]
    padding = torch.arange(targets.shape[1]) >= inputs["lengths"].unsqueeze(1)
    assert (targets[padding] == PADDING).all()
    name = data.row_names[1][3]
    rows = np.flatnonzero(table["who"] == name)
    wanted = table["kind"][rows[np.argsort(table["when"][rows])]]
    assert [data.classes[index] for index in targets[3, ~padding[3]]] == wanted.tolist()
    with pytest.raises(
        ArgumentError, match="targets of steps must be classes, got numbers in 'x', whose padding no l"
    ):
        Sequences(path, "x", encode="one-hot", per_step=True, task="regression", **COLUMNS)


@pytest.mark.filterwarnings("ignore::mytorch.data.TableWarning")
def test_like_reads_another_file_with_or_without_a_target(tmp_path, table):
    former = Sequences(saved(tmp_path / "t.npz", table), "y", encode="one-hot", **COLUMNS)
    new = {"who": np.array(["z", "z", "q"]), "when": np.array([2, 1, 5]), "x": np.array([1.0, 2.0, 3.0])}
    new |= {"kind": np.array(["run", "rest", "run"])}
    path = saved(tmp_path / "n.npz", new)
    data = Sequences.new_rows(path, former.preparation, torch.float32, targets=False)
    inputs, targets = data[:]
    assert targets is None
    assert data.row_names == ("who", ["z", "q"])
    assert inputs["x"].tolist() == [[[2, 1, 0], [1, 0, 1]], [[3, 0, 1], [0, 0, 0]]]
    changing = {**new, "y": np.array(["ill", "well", "ill"])}
    assert len(Sequences.new_rows(saved(path, changing), former.preparation, torch.float32, targets=False)) == 2
    judged = Sequences(saved(path, {**new, "y": np.array(["well", "well", "ill"])}), like=former.preparation)
    assert judged.targets.tolist() == [1, 0]
    with pytest.raises(ArgumentError, match="like must be the preparation of former Sequences"):
        Sequences(path, like={})


@pytest.mark.filterwarnings("ignore::mytorch.data.TableWarning")
def test_missing_cells_are_filled_by_what_the_training_part_says(tmp_path, table):
    x = np.where(np.arange(len(table["x"])) % 5 == 0, np.nan, table["x"])
    path = saved(tmp_path / "t.npz", {**table, "x": x})
    parts = hold_out(Sequences(path, "y", features=["x"], missing="mean", dtype="float64", **COLUMNS), test=0.4)
    names = parts.training.row_names[1]
    mean = np.nanmean(x[np.isin(table["who"], names)])
    whole = parts.training.data[:][0]
    real = torch.arange(whole["x"].shape[1]) < whole["lengths"].unsqueeze(1)
    filled = whole["x"][real][:, 0]
    assert int((filled - mean).abs().lt(1e-9).sum()) == np.isnan(x).sum()
    assert set(names).isdisjoint(parts.test.row_names[1])
    with pytest.raises(ArgumentError, match='missing must be "mean" or "median", got \'drop\', which leaves holes'):
        Sequences(path, "y", features=["x"], missing="drop", **COLUMNS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,1,1,0", "a,,2,0"], r"t\.csv: row 3, column 'when' must be a time, got a missing cell"),
        (["a,1,1,0", ",2,2,0"], r"t\.csv: row 3, column 'who' must be the id of a sequence, got a missing cell"),
        (
            ["a,1,1,0", "b,1,1,0", "a,1.0,2,0"],
            r"row 4, column 'when' must be another time than those of the same sequence, got '1.0' for 'a', as in r",
        ),
        (["a,1,1,0", "a,soon,2,0"], r"row 3, column 'when' must be a finite number or a date such as .*, got 'soon'"),
        (["a,1,1,0", "a,inf,2,0"], r"row 3, column 'when' must be a finite number or a date such as .*, got 'inf'"),
        (["a,2024-01-01,1,0", "a,2024-13-01,2,0"], r"row 3, column 'when' must be a date such as 2024-01-31"),
        (
            ["a,1,1,0", "a,2,2,1"],
            r"column 'y' must be the same in all rows of a sequence, got '0' and '1' for 'a'; pe",
        ),
        (["a,1,1,0", "a,2"], r"got 2"),
        (["a,1,1,0", "a,2,,0"], r"row 3, column 'x'"),
    ],
)
def test_bad_rows_are_told_with_their_place(tmp_path, rows, message):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["who,when,x,y", *rows, "c,1,1,1", "d,1,1,0", ""]))
    with pytest.raises(TableError, match=message):
        Sequences(path, "y", task="classification", **COLUMNS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "y", "id": "who"}, "Sequences: time must name a column, got None"),
        ({"target": None, **COLUMNS}, "Sequences: target must name a column, got None"),
        (
            {"target": "y", "id": "whom", "time": "when"},
            r"id must name a column of .*t\.npz, got 'whom'. Nearest: who",
        ),
        ({"target": "y", "per_step": 1, **COLUMNS}, "Sequences: per_step must be True or False, got 1"),
        ({"target": "z", **COLUMNS}, "target must name a column of"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, table, options, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        with pytest.raises(ArgumentError, match=message):
            Sequences(saved(tmp_path / "t.npz", table), **options)


def test_gaps_are_told_where_times_are_equally_spaced_otherwise(tmp_path):
    when = np.concatenate([np.arange(20), [25, 26], np.arange(10)])
    rows = {"who": np.repeat(["a", "b"], [22, 10]), "when": when, "x": when * 1.0, "y": np.repeat([0, 1], [22, 10])}
    with pytest.warns(
        TableWarning, match=r"sequence 'a' has a gap of 6 between two times that are 1 apart elsewhere, a"
    ):
        Sequences(saved(tmp_path / "t.npz", rows), "y", **COLUMNS)
    rows["when"] = np.concatenate([np.arange(22), np.arange(10)])
    assert len(Sequences(saved(tmp_path / "t.npz", rows), "y", **COLUMNS)) == 2
    rows["when"] = np.cumsum(np.random.default_rng(0).random(32))
    assert len(Sequences(saved(tmp_path / "t.npz", rows), "y", **COLUMNS)) == 2


def test_the_example_holds():
    result = doctest.testmod(sequences)
    assert result.attempted > 5
    assert not result.failed
