"""mytorch explain: the step of an experiment or of a run."""

import json
import re

import pytest
import torch
import toy_parts
from click.testing import CliRunner

from mytorch.commands.explain import explain
from mytorch.core import ArgumentError, StateError
from mytorch.experiments import ExperimentError, Recorder, RunError, train_experiment
from mytorch.experiments.explain_experiment import explain_experiment
from mytorch.plugins import FileError, UnknownNameError, hookimpl
from mytorch.train import fit


@pytest.fixture
def call(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(explain, list(map(str, arguments)))


class Losses:
    """Remembers the loss of every batch."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def batch_ended(self, loss):
        self.seen.append(loss.item())


def test_batches_are_those_of_training(call):
    losses = Losses()
    run = train_experiment("points", {"epochs": 1, "optimizer.lr": 0.0}, callbacks=[losses], quiet=True)
    assert [explain_experiment("points", batch=batch).loss for batch in (1, 2, 3, 4)] == losses.seen
    assert explain_experiment(run.path, batch=2).loss == losses.seen[1]  # a learning rate of 0 moved nothing


def test_a_run_has_its_kept_weights(call):
    run = train_experiment("points", {"epochs": 2}, quiet=True)
    result = call(run.path)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("points: one training step, batch 1 of 4, the weights that the run kept\n")
    weights = explain_experiment(run.path).of("forward")[1].parameters[0]
    assert weights.values == run.net.layers[0].weight.value.tolist()
    assert weights.values != explain_experiment("points").of("forward")[1].parameters[0].values


def test_terminal(call):
    result = call("points", "--batch", 4, "--set", "seed=3")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "points: one training step, batch 4 of 4, the first weights of seed 3"
    assert max(map(len, lines)) <= 80
    assert re.search(r"(?m)^ +d_weight +\(2, 4\) +\[\[", result.stdout)


def test_page(call, tmp_path):
    result = call(toy_parts.experiment, "--html", "step.html", "--set", "batch_size=2")
    assert (result.exit_code, result.output) == (0, "Wrote step.html\n")
    first = (tmp_path / "step.html").read_text(encoding="utf-8")
    assert "points: one training step, batch 1 of 50, the first weights of seed 0" in first
    result = call("points", "--html", "step.html")
    assert isinstance(result.exception, FileError)
    assert "step.html: must be a new file, got one that exists; choose another name" in str(result.exception)
    assert (tmp_path / "step.html").read_text(encoding="utf-8") == first
    assert call("points", "--html", "step.html", "--force").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["step.html"]
    assert "batch 1 of 4" in (tmp_path / "step.html").read_text(encoding="utf-8")


def test_a_page_about_several_batches_has_the_step_of_each(call, tmp_path):
    result = call("points", "--batches", 3, "--batch", 2, "--html", "steps.html")
    assert (result.exit_code, result.output) == (0, "Wrote steps.html\n")
    page = (tmp_path / "steps.html").read_text(encoding="utf-8")
    told = json.loads(re.search(r'id="explained">(.*?)</script>', page)[1])
    for each, batch in zip(told, (2, 3, 4), strict=True):
        expected = explain_experiment("points", batch=batch)
        assert each["title"] == expected.title
        assert each["heading"].startswith(f"loss {expected.loss:.6g};")
        assert [step["path"] for step in each["steps"]] == [step.path for step in expected.steps]
    assert len(told[0]["network"]["columns"]) >= 2
    result = call("points", "--batches", 2)
    assert result.exit_code == 2
    assert "--batches must come with --html" in result.output


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            ["points", "--batch", 5],
            ArgumentError,
            "explain: batch must be between 1 and 4, the batches of an epoch, got 5",
        ),
        (
            ["points", "--batch", 3, "--batches", 3, "--html", "page.html"],
            ArgumentError,
            "explain: batch must be between 1 and 4, the batches of an epoch, got 5",
        ),
        (["poinst"], UnknownNameError, "Nearest: points"),
        (["gone.toml"], ExperimentError, "got no such file: gone.toml"),
        (["points", "--set", "batch_size=0"], ExperimentError, "batch_size: must be at least 1"),
        (["points", "--html", "gone/step.html"], FileError, "its folder must exist; create it with: mkdir -p gone"),
        (["points", "--html", "page.html", "--set", "epochs=x"], ExperimentError, "epochs: must be a whole number"),
    ],
)
def test_mistakes(call, tmp_path, arguments, error, text):
    result = call(*arguments)
    assert isinstance(result.exception, error)
    assert text in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["runs/gone", "."])
def test_what_is_no_run(call, path):
    result = call(path)
    assert isinstance(result.exception, ExperimentError)
    (note,) = result.exception.__notes__
    assert note == "A run is a folder with summary.json, such as runs/disk-20260101-120000."


def test_weights_that_do_not_fit_what_is_set(call):
    run = train_experiment("points", {"epochs": 1}, quiet=True)
    result = call(run.path, "--set", "model.layers.0.out_features=5", "--set", "model.layers.2.in_features=5")
    assert isinstance(result.exception, StateError)


def test_a_run_from_python_is_explained_in_python(call, tmp_path):
    net = toy_parts.Dense(1, 1)
    fit(
        net,
        toy_parts.SquaredError(),
        toy_parts.SGD(net.param()),
        toy_parts.Line(),
        epochs=1,
        batch_size=5,
        callbacks=[Recorder(".")],
        quiet=True,
    )
    (folder,) = tmp_path.iterdir()
    with pytest.raises(RunError, match=r"must have an experiment.toml to be explained.*use mytorch\.train\.explain\("):
        explain_experiment(folder)


def test_threads_are_those_of_the_experiment(call, monkeypatch):
    before, seen = torch.get_num_threads(), []
    forward = toy_parts.Rectify.forward
    monkeypatch.setattr(toy_parts.Rectify, "forward", lambda *a: seen.append(torch.get_num_threads()) or forward(*a))
    explain_experiment("points", {"threads": before + 1})
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
