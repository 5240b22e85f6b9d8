"""An experiment's targets in deviations, judged in units."""

import pytest
import torch
from toy_parts import Table, network

from mytorch.core import ShapeError
from mytorch.data.preparation import StandardizedTargets, learn_targets
from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build_data
from mytorch.train import Batches, MeanAbsoluteError, evaluate


def prices(rows=30, columns=2, dtype=torch.float64):
    return Table(torch.randn(rows, 2, dtype=dtype), (1e4 + 300 * torch.randn(rows, columns)).to(dtype))


def targets_of(data):
    return torch.cat([targets for _, targets in Batches(data, 7)])


def test_metrics_are_in_units_and_the_loss_is_not():
    data, net = prices(), network().to(torch.float64)
    scaled = StandardizedTargets(data, learn_targets(data))
    expected = (scaled.in_units(net(data.inputs)) - data.targets).abs().mean()
    found = evaluate(net, None, scaled, [MeanAbsoluteError()], batch_size=11)
    assert found == {"mean_absolute_error": pytest.approx(float(expected))}
    assert found["mean_absolute_error"] > 100


def test_a_model_of_other_columns_is_refused():
    data = prices(columns=3)
    scaled = StandardizedTargets(data, learn_targets(data))
    with pytest.raises(ShapeError, match=r"values must have 3 columns, as in training, got \(30, 2\)"):
        evaluate(network().to(torch.float64), None, scaled, [MeanAbsoluteError()])


def test_the_test_data_is_scaled_as_the_training_data(content):
    content["data"] = {
        "train": {"type": "Line", "rows": 10},
        "test": {"type": "Line", "rows": 4},
        "targets": "standardize",
    }
    train, _, test = build_data(load_experiment(content))
    assert train.moments is test.moments
    assert abs(float(targets_of(train).mean())) < 1e-6
    assert abs(float(targets_of(test).mean())) > 0.01
