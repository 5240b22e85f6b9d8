"""Numbers that are learned in deviations and judged in units."""

import math

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, Wrapped
from mytorch.data import Disk, TensorDataSet
from mytorch.data.batches import batches
from mytorch.data.preparation.standardized_targets import StandardizedTargets, learn_targets


def prices(rows=30, columns=2, dtype=torch.float64):
    return TensorDataSet(torch.randn(rows, 2, dtype=dtype), (1e4 + 300 * torch.randn(rows, columns)).to(dtype))


def targets_of(data):
    return torch.cat([targets for _, targets in batches(data, 7)])


@pytest.mark.parametrize("wrap", [lambda data: data, Wrapped])
@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 3)])
def test_the_loss_sees_mean_0_and_deviation_1(wrap, shape):
    data = TensorDataSet(torch.randn(30, 2), (5 - 40 * torch.rand(shape)).double())
    scaled = StandardizedTargets(wrap(data), learn_targets(wrap(data)))
    targets = targets_of(scaled)
    assert targets.shape == shape
    torch.testing.assert_close(targets.mean(0), torch.zeros(shape[1:]).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(targets.std(0, correction=0), torch.ones(shape[1:]).double())
    torch.testing.assert_close(scaled.in_units(targets), data.targets)


def test_they_keep_their_dtype_and_units_lose_nothing():
    data = prices(dtype=torch.float32)
    scaled = StandardizedTargets(data, learn_targets(data))
    assert targets_of(scaled).dtype == torch.float32
    assert scaled.in_units(targets_of(scaled)).dtype == torch.float64
    torch.testing.assert_close(scaled.in_units(targets_of(scaled)), data.targets.double(), rtol=1e-6, atol=0)


def test_what_is_known_about_the_data_goes_with_it():
    data = prices()
    data.columns, data.preparation = ("a", "b"), {"standardize": {"mean": [0, 0], "std": [1, 1]}}
    moments = learn_targets(data)
    scaled = StandardizedTargets(data, moments)
    assert (scaled.columns, scaled.classes, len(scaled)) == (("a", "b"), None, 30)
    learned = {"mean": moments.mean.tolist(), "std": moments.std.tolist()}
    assert scaled.preparation == {**data.preparation, "standardize_targets": learned}


@pytest.mark.parametrize(
    ("targets", "error", "text"),
    [
        (Disk(5).targets, DtypeError, r'"standardize" needs numbers, got torch.int64; use targets = "as-is"'),
        (torch.full((5, 1), 3.5), ArgumentError, r"must differ to be standardised, got 3.5 in every training row"),
        (torch.tensor([[1.0, 2.0], [1.0, 3.0]]), ArgumentError, r"must differ to be standardised, got 1 in every"),
        (torch.tensor([0.0, math.nan, 1.0]), ArgumentError, r"must be finite, got \[nan\] in training row 1"),
        (torch.tensor([0.0, 2.0, -math.inf]), ArgumentError, r"must be finite, got \[-inf\] in training row 2"),
        (
            torch.tensor([1e308, -1e308], dtype=torch.float64),
            ArgumentError,
            r"must be small enough to be squared, got 1e\+308",
        ),
    ],
)
def test_what_cannot_be_standardised_is_refused(targets, error, text):
    with pytest.raises(error, match=text):
        learn_targets(TensorDataSet(torch.zeros(len(targets), 1), targets))
