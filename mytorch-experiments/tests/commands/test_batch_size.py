"""The command that advises a batch size."""

import math

import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.batch_size import batch_size
from mytorch.core import ArgumentError
from mytorch.experiments import ExperimentError, RunError, load_experiment, train_experiment
from mytorch.experiments.training.find_batch_size import BatchAdvice, find_batch_size
from mytorch.nn import MSELoss
from mytorch.train.quantities import NoiseScale, measure_noise


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(batch_size, list(map(str, arguments)))


def test_an_experiment_is_measured_in_the_course_of_its_training(call, tmp_path):
    result = call("disk", "--steps", 20, "--set", "data.train.samples=200")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.exception
    assert lines[0].split() == ["after", "noise", "scale", "at", "least", "at", "most"]
    assert [line.split()[:2] for line in lines[1:4]] == [["0", "steps"], ["2", "steps"], ["20", "steps"]]
    assert lines[5].startswith("Measured on 198 training rows; ")  # 33 batches of 6
    assert lines[8].startswith("Now, with 100: about ")
    advised = lines[9].removeprefix("Suggested batch size: ")
    assert lines[10] == f"Take it: mytorch train disk --set batch_size={advised}"
    assert lines[11].endswith(f"mytorch lr-find disk --set batch_size={advised}")
    assert not list(tmp_path.iterdir())  # nothing is kept


def test_the_weights_are_those_after_the_steps_of_the_experiment(tmp_path):
    changed = {"data.train.samples": 200, "batch_size": 20, "epochs": 2}
    schedule = {"schedule": {"type": "OneCycleLR", "max_lr": 0.05}}
    run = train_experiment("disk", {**changed, **schedule}, output=tmp_path, quiet=True)
    found = find_batch_size("disk", {**changed, **schedule}, steps=20)
    of_run = find_batch_size(run.path)
    assert list(found.measured) == [0, 2, 20]
    assert list(of_run.measured) == [None]
    assert math.isclose(found.last.scale, of_run.last.scale, rel_tol=1e-4)
    from mytorch.experiments.file.build import build_data

    with torch.no_grad():
        wanted = measure_noise(run.net, MSELoss(), build_data(run.experiment).training)
    assert of_run.last == wanted


def test_a_run_names_its_experiment(call, tmp_path):
    run = train_experiment("disk", {"epochs": 1}, output=tmp_path, quiet=True)
    result = call(run.path)
    assert "the run's training" in result.stdout
    assert f"Take it: mytorch train {run.path}/experiment.toml --set batch_size=" in result.stdout


def advice(scale, **changed):
    experiment = load_experiment("disk", changed)
    return BatchAdvice(experiment, {0: NoiseScale(scale, scale / 2, scale * 2, 100)}, 1000)


def test_the_suggestion_is_a_power_of_two_within_the_rows():
    found = [advice(scale).suggestion for scale in (0.1, 20, 25, 500, 1e6, math.inf)]
    assert found == [1, 16, 32, 512, 1000, None]
    assert advice(100.0, batch_size=10, accumulate=4).batch_size == 40


def test_no_signal_is_told(call, monkeypatch):
    monkeypatch.setattr(
        "mytorch.experiments.training.find_batch_size.find_batch_size", lambda *_, **__: advice(math.inf)
    )
    lines = call("disk").stdout.splitlines()
    assert lines[1].split() == ["0", "steps", "infinite", "infinite", "infinite"]
    assert lines[4].startswith("The gradient of all these rows together is no larger than its noise")


def test_under_a_learning_rule_the_noise_is_said_to_be_that_of_backpropagation(call):
    said = "The noise is that of backpropagation; the steps are those of FeedbackAlignment."
    options = ["--steps", 2, "--set", "data.train.samples=200"]
    assert said in call("disk", *options, "--set", "rule.type=FeedbackAlignment").stdout.splitlines()
    assert "backpropagation" not in call("disk", *options).stdout


def test_what_cannot_be_measured_is_refused(call, tmp_path):
    mixed = ["--set", 'model.layers.1={ type = "Softmax", dim = 0 }']
    assert isinstance(call("disk", *mixed).exception, ArgumentError)
    assert "layer '1' (Softmax), which mixes the batch" in str(call("disk", *mixed).exception)
    assert "at least 16 rows" in str(call("disk", "--set", "data.train.samples=9").exception)
    assert isinstance(call("gone.toml").exception, ExperimentError)
    run = train_experiment("disk", {"epochs": 1}, output=tmp_path, quiet=True)
    (run.path / "experiment.toml").unlink()
    assert isinstance(call(run.path).exception, RunError)
    assert call("disk", "--steps", 0).exit_code == 2
