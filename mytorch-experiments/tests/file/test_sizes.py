"""Sizes of a model that follow from its data: "classes"."""

import numpy as np
import pytest

from mytorch.experiments import ExperimentError, load, load_experiment, train_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.file.load_experiment import to_toml
from mytorch.experiments.training.check_experiment import check_experiment


@pytest.fixture
def table(tmp_path):
    """An experiment that learns a table with as many classes as a random number says."""
    draw = np.random.default_rng(5)
    count = int(draw.integers(3, 9))
    np.savez(tmp_path / "rows.npz", x=draw.normal(size=60), y=np.arange(60) % count)
    layers = [
        {"type": "Linear", "in_features": 1, "out_features": 5},
        {"type": "Residual", "inner": {"type": "Linear", "in_features": 5, "out_features": 5}},
        {"type": "Linear", "in_features": 5, "out_features": "classes"},
    ]
    said = {
        "name": "rows",
        "epochs": 1,
        "batch_size": 20,
        "data": {"train": {"type": "Table", "path": str(tmp_path / "rows.npz"), "target": "y"}},
        "model": {"type": "Sequential", "layers": layers},
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": {"type": "SGD", "lr": 0.1},
    }
    return said, count


def test_classes_are_counted_and_the_run_keeps_the_number(table, tmp_path):
    said, count = table
    built = build(load_experiment(said))
    assert list(built.setup.net.param())[-1].value.shape == (count,)
    assert f"out_features = {count} }}" in to_toml(built.experiment)
    run = train_experiment(said, output=tmp_path / "runs", quiet=True)
    assert load(run.path).experiment.model.arguments["layers"][2]["out_features"] == count
    assert train_experiment(said, {"epochs": 2}, resume=run.path, quiet=True).history[-1]["epoch"] == 2
    assert f", {5 * 2 + 5 * 6 + count * 6} parameters," in check_experiment(said)


def test_data_without_classes_are_told_with_the_key(table, tmp_path):
    said, _ = table
    np.savez(tmp_path / "numbers.npz", x=np.random.rand(20), y=np.random.rand(20))
    said["model"]["layers"][1]["inner"]["in_features"] = "classes"
    changes = {"data.train.path": str(tmp_path / "numbers.npz"), "loss.type": "MSELoss"}
    text = 'model.layers.1.inner.in_features: "classes" must go with data that have classes, got data without; write a'
    for owner in (check_experiment, train_experiment):
        with pytest.raises(ExperimentError) as info:
            owner(said, changes)
        assert str(info.value).startswith(text)
        assert "whole number" not in str(info.value)


def test_data_that_cannot_be_read_are_the_only_mistake(table):
    said, _ = table
    with pytest.raises(ExperimentError) as info:
        check_experiment(said, {"data.train.path": "gone.npz"})
    assert str(info.value).count("\n") == 0
    assert "gone.npz: must be a file" in str(info.value)
