"""Experiments whose models take their sizes from the data."""

import pytest
import torch

from mytorch.core import ShapeError
from mytorch.experiments import ExperimentError, load_experiment, train_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.parity import compare
from mytorch.experiments.runs.run import load
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.nn import Linear


@pytest.fixture
def lazy(content):
    """The experiment with a model that says no number of inputs."""
    content["model"] = {
        "type": "mytorch-nn:Sequential",
        "layers": [
            {"type": "mytorch-nn:LazyLinear", "out_features": 4},
            {"type": "mytorch-nn:ReLU"},
            {"type": "mytorch-nn:Dropout", "p": 0.5},
            {"type": "mytorch-nn:LazyLinear", "out_features": 2},
        ],
    }
    return content


def test_the_first_batch_tells_the_sizes_before_the_optimizer_is_built(lazy):
    setup = build(load_experiment(lazy)).setup
    assert [tuple(parameter.value.shape) for parameter in setup.net.param()] == [(4, 2), (4,), (2, 4), (2,)]
    assert setup.optimizer.param_groups[0]["params"] == setup.net.param()
    assert type(setup.net[0]) is Linear
    assert all(module.training for module in setup.net.modules())


def test_the_seed_and_the_dtype_are_those_of_the_experiment(lazy):
    first, again = (build(load_experiment(lazy, {"dtype": "float64"})).setup.net.state_dict() for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert {value.dtype for value in first.values()} == {torch.float64}
    torch.manual_seed(lazy.get("seed", 0))
    twin = Linear(2, 4, dtype=torch.float64)
    torch.testing.assert_close(first["0.weight"], twin.weight.value, rtol=0, atol=0)


def test_an_initialization_finds_the_shapes(lazy):
    lazy["initialization"] = {"type": "zeros"}
    assert not any(value.any() for value in build(load_experiment(lazy)).setup.net.state_dict().values())


def test_check_counts_the_parameters_and_tells_what_is_wrong_in_one_go(lazy):
    assert "22 parameters" in check_experiment(lazy)
    with pytest.raises(ExperimentError) as info:
        check_experiment(lazy, {"data.train.samples": "many", "optimizer.rate": 1})
    assert [line.split(":")[0] for line in str(info.value).splitlines()] == ["data.train.samples", "optimizer.rate"]


def test_a_layer_that_does_not_fit_is_named(lazy):
    lazy["model"]["layers"].insert(1, {"type": "mytorch-nn:Linear", "in_features": 5, "out_features": 4})
    with pytest.raises(ShapeError, match=r"^Linear: last axis of x must be 5, got 4") as info:
        build(load_experiment(lazy))
    assert info.value.__notes__ == ["in layer '1' (Linear) of Sequential"]
    with pytest.raises(ExperimentError, match=r"last axis of x must be 5(.|\n)*in layer '1' \(Linear\) of Sequential"):
        check_experiment(lazy)


def test_a_run_is_written_and_loaded_with_its_shapes(lazy, tmp_path):
    run = train_experiment(lazy, {"epochs": 2}, output=tmp_path / "runs", quiet=True)
    again = load(run.path)
    assert repr(again.net[0]) == "Linear(in_features=2, out_features=4)"
    torch.testing.assert_close(again.net.state_dict(), run.net.state_dict(), rtol=0, atol=0)


def test_parity_with_pytorch(lazy):
    comparison = compare(load_experiment(lazy, {"epochs": 2}))
    assert comparison.passed
