"""Windows of a time series: they hold the steps that they must, and parts share no target."""

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError, View
from mytorch.data import Standardize, TableError, TensorDataSet, Windows, hold_out, split
from mytorch.data.series import windows
from mytorch.data.transforms import standardize

STEPS = 60


@pytest.fixture
def numbers() -> Any:
    return np.random.default_rng(0).normal(size=(STEPS, 3)) * (1, 10, 100)


@pytest.fixture
def path(tmp_path: Path, numbers: Any) -> Path:
    np.savez(tmp_path / "series.npz", a=numbers[:, 0], b=numbers[:, 1], c=numbers[:, 2])
    return tmp_path / "series.npz"


@pytest.mark.parametrize(("history", "horizon"), [(1, 1), (5, 1), (7, 4), (30, 30)])
@pytest.mark.parametrize("target", ["b", ["c", "a"]])
def test_each_window_is_followed_by_its_target(
    path: Path, numbers: Any, target: Any, history: int, horizon: int
) -> None:
    data = Windows(path, target, history, horizon, dtype="float64")
    assert len(data) == STEPS - history - horizon + 1
    places = ["abc".index(name) for name in target]
    inputs, targets = data[:]
    for begin in range(len(data)):
        middle = begin + history
        torch.testing.assert_close(inputs[begin], torch.from_numpy(numbers[begin:middle]), rtol=0, atol=0)
        wanted = numbers[middle : middle + horizon][:, places].reshape(-1)
        torch.testing.assert_close(targets[begin], torch.from_numpy(wanted), rtol=0, atol=0)


def test_columns_choose_and_order_the_inputs_and_numbers_are_rounded_late(path: Path, numbers: Any) -> None:
    data = Windows(path, "c", 4, columns=["c", "a"])
    inputs, targets = data[[3, 9]]
    assert inputs.dtype is targets.dtype is torch.float32
    torch.testing.assert_close(inputs[0], torch.from_numpy(numbers[3:7, [2, 0]]).float(), rtol=0, atol=0)
    exact = data.exact_at(torch.tensor([3]))[0]
    torch.testing.assert_close(exact[0], torch.from_numpy(numbers[3:7, [2, 0]]), rtol=0, atol=0)


def test_a_csv_file_is_read_as_a_table_is(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "load.csv").write_text("x;y\n1,5;2\n2,5;3\n3,5;4\n")
    data = Windows(tmp_path / "load.csv", "y", 2, delimiter=";", decimal=",")
    assert [value.tolist() for value in data[0]] == [[[1.5, 2.0], [2.5, 3.0]], [4.0]]


def steps_of(part: Any, history: int, horizon: int) -> tuple[set[int], set[int]]:
    """The steps in the inputs and in the targets of the windows of a part."""
    begins = part.indices.tolist()
    inputs = {step for begin in begins for step in range(begin, begin + history)}
    return inputs, {step for begin in begins for step in range(begin + history, begin + history + horizon)}


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_parts_follow_each_other_in_time_and_share_no_target(path: Path, horizon: int, seed: int) -> None:
    data = Windows(path, "a", 5, horizon)
    parts = hold_out(data, validation=0.2, test=0.2, seed=seed)
    (_, trained), (_, chosen), (_, tested) = (steps_of(part, 5, horizon) for part in parts)
    assert max(trained) < min(chosen)
    assert max(chosen) < min(tested)
    assert max(steps_of(parts.training, 5, horizon)[0]) < min(chosen)
    assert max(tested) == STEPS - 1
    assert sum(map(len, parts)) == len(data) - 2 * (horizon - 1)
    again = split(parts.training, (0.5, 0.5), seed=seed)
    assert max(steps_of(again[0], 5, horizon)[1]) < min(step for step in again[1].indices.add(5).tolist())


def test_standardisation_learns_from_the_training_windows_alone(path: Path, numbers: Any) -> None:
    parts = hold_out(Windows(path, "a", 5, dtype="float64"), test=0.5)
    ready = standardize(parts)
    assert parts.training is not None
    last = int(parts.training.indices.max()) + 5
    seen = torch.from_numpy(numbers).unfold(0, 5, 1)[: last - 4]  # (windows, columns, history)
    flat = seen.transpose(1, 2).reshape(-1, 3)
    inputs = ready.test[:][0]
    expected = (parts.test[:][0] - flat.mean(0)) / flat.std(0, correction=0)
    torch.testing.assert_close(inputs, expected)


def test_sequences_of_other_shapes_are_not_standardised() -> None:
    with pytest.raises(
        ValueError, match=r"inputs must have shape .*, \(rows, steps, columns\) or .* got \(3, 2, 2, 2, 2"
    ):
        Standardize.fit(TensorDataSet(torch.randn(3, 2, 2, 2, 2), torch.zeros(3)))


def test_like_reads_another_file_up_to_its_end(path: Path, tmp_path: Path, numbers: Any) -> None:
    like = Windows(path, ["b"], 5, 2, columns=["b", "a"]).preparation
    np.savez(tmp_path / "new.npz", a=numbers[:8, 0], b=numbers[:8, 1], other=np.zeros(8))
    ahead = Windows(tmp_path / "new.npz", like=like, targets=False, dtype="float64")
    assert len(ahead) == 4
    inputs, targets = ahead[-1]
    torch.testing.assert_close(inputs, torch.from_numpy(numbers[3:8, [1, 0]]), rtol=0, atol=0)
    assert targets is None
    assert len(Windows(tmp_path / "new.npz", like=like)) == 2
    assert (View(ahead, [0, 1]).overlap, TensorDataSet([0.0], [0]).overlap) == (1, None)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ArgumentError, "Windows: target must name a column, or several, got none"),
        ({"target": "d", "history": 3}, ArgumentError, "Windows: target must be among the columns a, b, c, got 'd'"),
        ({"target": "a"}, ArgumentError, "Windows: history must be a whole number of at least 1, got None"),
        ({"target": "a", "history": 0}, ArgumentError, "Windows: history must be a whole number of at least 1, got 0"),
        ({"target": "a", "history": 3, "horizon": 0}, ArgumentError, "horizon must be a whole number of at least 1"),
        (
            {"target": "a", "history": 58, "horizon": 3},
            TableError,
            r"series\.npz: must have at least history \+ horizon = 61 rows, got 60",
        ),
        (
            {"target": "a", "history": 3, "columns": ["a", "bb"]},
            ArgumentError,
            "columns must be in the file, got none named 'bb'. Nearest: b",
        ),
        ({"target": "a", "history": 3, "columns": ["a", "a"]}, ArgumentError, "columns must be different names, got"),
        ({"target": "a", "history": 3, "dtype": "int8"}, ArgumentError, "Windows: dtype must be one of float32"),
        ({"like": {}}, ArgumentError, "Windows: like must be the preparation of former Windows, got {}"),
        ({"target": "a", "history": 3, "targets": 1}, ArgumentError, "Windows: targets must be True or False, got 1"),
    ],
)
def test_options_outside_their_range_raise(
    path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Windows(path, **arguments)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "",
            r"line\.csv: row 4, column 'b' must be a finite number, got a missing cell; a series must have every ste",
        ),
        ("inf", r"line\.csv: row 4, column 'b' must be a finite number, got inf"),
        ("many", r"line\.csv: row 4, column 'b' must be a number, got 'many'; leave the column out of columns"),
    ],
)
def test_a_cell_that_is_no_number_is_told_with_its_row(tmp_path: Path, cell: str, message: str) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "line.csv").write_text(f"a,b\n1,2\n2,3\n3,{cell}\n4,5\n")
    with pytest.raises(TableError, match=message):
        Windows(tmp_path / "line.csv", "a", 2)
    assert len(Windows(tmp_path / "line.csv", "a", 2, columns=["a"])) == 2


def test_folds_and_parts_that_are_too_short_are_refused(path: Path) -> None:
    data = Windows(path, "a", 5, 10)
    with pytest.raises(
        ArgumentError, match="hold_out: folds must be left out for a time series or a text, which is split by pl"
    ):
        hold_out(data, folds=3, fold=1)
    with pytest.raises(ArgumentError, match="every part must have more rows than the 9 that share targets with the"):
        hold_out(data, validation=5, test=0.2)


def test_the_example_holds() -> None:
    result = doctest.testmod(windows)
    assert result.attempted > 7
    assert not result.failed
