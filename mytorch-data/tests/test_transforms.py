"""What an experiment does to the parts of its data."""

from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.data import Disk, Parts, Standardize, TensorDataSet, hold_out
from mytorch.data.transforms import standardize


def numbers(rows: int = 40) -> TensorDataSet:
    return TensorDataSet(torch.arange(rows).double().unsqueeze(1), torch.arange(rows).double())


def rows(part: Any) -> list[int]:
    return [] if part is None else [int(value) for value in part[:][1]]


@pytest.mark.parametrize(
    ("held", "sizes"),
    [
        ({"test": 0.25}, (30, None, 10)),
        ({"validation": 0.25}, (30, 10, None)),
        ({"validation": 0.2, "test": 0.1}, (28, 8, 4)),
        ({"validation": 5, "test": 0.1}, (31, 5, 4)),
        ({}, (40, None, None)),
    ],
)
def test_rows_are_held_back_for_the_parts_that_are_asked_for(held, sizes) -> None:
    parts = hold_out(numbers(), **held, seed=3)
    assert tuple(None if part is None else len(part) for part in parts) == sizes
    assert sorted(row for part in parts for row in rows(part)) == list(range(40))


def test_a_validation_part_leaves_the_test_part_as_it_is() -> None:
    without = hold_out(numbers(), test=0.1, seed=3)
    with_it = hold_out(numbers(), validation=0.2, test=0.1, seed=3)
    assert rows(without.test) == rows(with_it.test)


def test_the_seed_decides() -> None:
    assert rows(hold_out(numbers(), test=0.5, seed=1).test) == rows(hold_out(numbers(), test=0.5, seed=1).test)
    assert rows(hold_out(numbers(), test=0.5, seed=1).test) != rows(hold_out(numbers(), test=0.5, seed=2).test)


def test_classes_are_shared_out_evenly_unless_told_otherwise() -> None:
    data = TensorDataSet(torch.zeros(100, 1), torch.arange(100) // 90)
    parts = hold_out(data, validation=0.2, test=0.2)
    assert [sum(rows(part)) for part in parts] == [6, 2, 2]
    plain = [[sum(rows(part)) for part in hold_out(data, 0.2, 0.2, seed, stratify=False)] for seed in range(5)]
    assert any(counted != [6, 2, 2] for counted in plain)


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ({"test": 1.0}, "hold_out: test must be a share between 0 and 1 or a number of rows below 40, got 1.0"),
        ({"test": 0}, "hold_out: test must be a share between 0 and 1 or a number of rows below 40, got 0"),
        ({"validation": 40}, "hold_out: validation must be a share .*, got 40"),
        ({"validation": True}, "hold_out: validation must be a share .*, got True"),
        ({"validation": "0.2"}, "hold_out: validation must be a share .*, got '0.2'"),
        ({"validation": 0.5, "test": 0.5}, "hold_out: rows must be left to train on, got .* of 40 rows held back"),
        ({"test": 0.001}, r"split: every part must get at least one row, got \[40, 0\] of 40 rows"),
    ],
)
def test_shares_that_leave_nothing_are_refused(held, text) -> None:
    with pytest.raises(ArgumentError, match=text):
        hold_out(numbers(), **held)


def test_every_part_is_standardised_by_what_the_training_part_says() -> None:
    parts = hold_out(Disk(100), validation=0.2, test=0.2, seed=3)
    ready = standardize(parts)
    learned = Standardize.fit(parts.training)
    for part, before in zip(ready, parts, strict=True):
        assert part is not None
        assert part.preparation == learned.preparation
        torch.testing.assert_close(part[:][0], learned.apply(before[:][0]))
    assert standardize(Parts(parts.training)).test is None
