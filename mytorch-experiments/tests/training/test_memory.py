"""A budget for saved values in an experiment."""

import csv
import json

import pytest
import torch

from mytorch.experiments import load_experiment, resume, train_experiment
from mytorch.experiments.file.build import build
from mytorch.plugins import MytorchError
from mytorch.train.memory.mapped import is_on_disk

WIDTH = 130


def trained(content, folder, **changes):
    run = train_experiment(content, {"epochs": 2, **changes}, output=folder, quiet=True)
    with (run.path / "history.csv").open() as file:
        losses = [line["train_loss"] for line in csv.DictReader(file)]
    return losses, json.loads((run.path / "summary.json").read_text())


@pytest.mark.parametrize("memory", ["1 GiB", 4 * 1024**3])
def test_a_run_says_what_is_computed_again(content, parts, tmp_path, memory):
    losses, plain = trained(content, tmp_path / "runs")
    again, within = trained(content, tmp_path / "runs", memory=memory)
    assert within["memory"].startswith("nothing is computed twice; layers save at most ")
    assert "memory" not in plain
    assert again == losses


@pytest.mark.parametrize("saved", ["disk", "bfloat16", "int8"])
def test_saved_values_are_stored_in_another_way(content, parts, tmp_path, saved):
    losses, _ = trained(content, tmp_path / "runs")
    other, _ = trained(content, tmp_path / "runs", saved=saved)
    assert [float(loss) for loss in other] == pytest.approx([float(loss) for loss in losses], rel=0.05)


def wide(content):
    """The experiment with a model of which two parameters are large enough for files."""
    layers = [{"type": "Dense", "in_features": size, "out_features": WIDTH} for size in (2, WIDTH, WIDTH)]
    model = {"type": "Chain", "layers": [*layers, {"type": "Dense", "in_features": WIDTH, "out_features": 2}]}
    return {**content, "model": model, "optimizer": {**content["optimizer"], "lr": 0.01, "momentum": 0.9}}


def test_weights_lie_on_disk_during_the_run_and_after_it(content, parts, tmp_path):
    plain = train_experiment(wide(content), {"epochs": 3}, output=tmp_path / "runs", quiet=True)
    built = build(load_experiment(wide(content), {"weights": "disk"}))
    assert _on_disk(built.setup.net) == 2  # before a training begins
    run = train_experiment(wide(content), {"epochs": 2, "weights": "disk"}, output=tmp_path / "runs", quiet=True)
    assert 'weights = "disk"' in (run.path / "experiment.toml").read_text()
    again = train_experiment(wide(content), {"epochs": 3, "weights": "disk"}, output=tmp_path / "runs", quiet=True)
    for other in (again, resume(run.path, {"epochs": 3}, quiet=True)):
        assert _on_disk(other.net) == 2
        torch.testing.assert_close(other.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
        assert [line["train_loss"] for line in other.history] == [line["train_loss"] for line in plain.history]
    assert _on_disk(plain.net) == 0


def _on_disk(net):
    return sum(is_on_disk(parameter.value) for parameter in net.param())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"memory": "2 giraffes"}, "memory: must be a size of memory above 0"),
        ({"memory": 0}, r"[^\n]*memory: must be a size of memory above 0, .*, got 0; its unit is one of [^\n]*\Z"),
        ({"saved": "int4"}, "saved"),
        ({"weights": "memory"}, "weights"),
        ({"weights": "disk", "engine": "auto"}, "weights: must be left out with an engine that compiles steps"),
        ({"weights": "disk", "clip_grad_norm": 1.0}, "weights: must be left out with clip_grad_norm = 1.0, since the"),
        ({"saved": "int8", "engine": "auto"}, "saved: must be left out with an engine that compiles steps"),
        ({"saved": "int8", "memory": "1 GiB"}, "memory: must be left out with saved"),
        ({"memory": 1}, r"memory: must be at least \d+ bytes, which the first batch needs .*, got 1; use smaller"),
        ({"memory": "1 GiB", "engine": "auto"}, "memory: must be left out with an engine that compiles steps"),
    ],
)
def test_what_is_wrong_is_said_before_training(content, parts, changes, text, tmp_path):
    with pytest.raises(MytorchError, match=text):
        train_experiment(content, {"epochs": 2, **changes}, output=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()
