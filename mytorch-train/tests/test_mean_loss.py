"""The mean of a loss over batches."""

import doctest
import importlib
import math

import torch
from toy_parts import SquaredError

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
