"""A budget for saved values in an experiment."""

import csv
import json

import pytest

from mytorch.experiments import train_experiment
from mytorch.plugins import MytorchError


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


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"memory": "2 giraffes"}, "memory: must be a size of memory above 0"),
        ({"memory": 0}, r"[^\n]*memory: must be a size of memory above 0, .*, got 0; its unit is one of [^\n]*\Z"),
        ({"saved": "int4"}, "saved"),
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
