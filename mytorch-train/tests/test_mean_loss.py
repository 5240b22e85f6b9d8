"""The mean of a loss over batches."""

import doctest
import importlib
import math

import pytest
import torch
from toy_parts import SquaredError

from mytorch.core import ArgumentError
from mytorch.train.mean_loss import MeanLoss


def test_a_batch_of_weight_0_counts_for_nothing_whatever_its_value():
    mean = MeanLoss(SquaredError())
    assert math.isnan(mean.compute())
    for value, weight in ((math.nan, 0), (2.0, 3), (torch.tensor(4.0), torch.tensor(1)), (math.inf, torch.tensor(0))):
        mean.add(value, weight)
    assert mean.compute() == 2.5


def test_sums_are_divided_by_the_weights_together():
    mean = MeanLoss(SquaredError("sum"))
    for value, weight in ((6.0, 3), (0.0, 0), (4.0, 1)):
        mean.add(value, weight)
    assert mean.compute() == 2.5


def test_the_example_of_the_docstring():
    assert doctest.testmod(importlib.import_module("mytorch.train.mean_loss")).failed == 0


@pytest.mark.parametrize(
    ("weight", "got"),
    [("a", "'a'"), (None, "None"), (torch.ones(2), r"a tensor of \(2,\)"), (-1, "-1.0"), (math.nan, "nan")],
)
def test_a_weight_is_a_number_of_at_least_0(weight, got):
    with pytest.raises(ArgumentError, match=f"SquaredError: weight_of must return a number of at least 0, got {got}$"):
        MeanLoss(SquaredError()).add(1.0, weight)
