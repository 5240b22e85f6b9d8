"""Learning rules by name in an experiment: they train, resume, and are told of wherever a run is looked at."""

import json
import os
import shutil
import signal

import pytest
import torch
from click.testing import CliRunner
from toy_parts import SGD, Points, SquaredError, network

from mytorch.commands.parity import parity
from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.experiments import Recorder, RunError, compare_runs, load_experiment, resume, train_experiment
from mytorch.experiments.explain_experiment import explain_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import Callback, MytorchError
from mytorch.train import Interrupted, fit
from mytorch.train.rules import FeedbackAlignment

RULE = {"rule": {"type": "FeedbackAlignment", "seed": 3}}


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def batch_ended(self):
        self.step -= 1
        if self.step == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def trained(content, folder, **overrides):
    return train_experiment(content, {"epochs": 3, **overrides}, output=folder, quiet=True)


def test_a_run_is_trained_by_the_rule_that_its_experiment_names(content, parts, tmp_path):
    run, other = (trained(content | named, tmp_path) for named in (RULE, {}))
    assert run.experiment.rule.arguments == {"seed": 3}
    assert not torch.equal(run.net.layers[0].weight.value, other.net.layers[0].weight.value)
    assert json.loads((run.path / "summary.json").read_text())["rule"] == "FeedbackAlignment"
    assert "rule" not in json.loads((other.path / "summary.json").read_text())

    built = build(load_experiment(content | RULE, {"epochs": 3}))
    setup = built.setup
    by_hand = fit(
        setup.net,
        setup.loss,
        setup.optimizer,
        setup.batches.data,
        epochs=3,
        batch_size=32,
        quiet=True,
        rule=FeedbackAlignment(seed=3),
    )
    torch.testing.assert_close(run.net.state_dict(), by_hand.net.state_dict(), rtol=0, atol=0)


def test_a_run_that_was_interrupted_goes_on_to_the_bit(content, parts, tmp_path):
    whole = trained(content | RULE, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train_experiment(content | RULE, {"epochs": 3}, output=tmp_path / "runs", callbacks=[StopAt(6)], quiet=True)
    (path,) = (tmp_path / "runs").iterdir()
    copy = tmp_path / "copy"
    shutil.copytree(path, copy)
    again = resume(path, quiet=True)
    torch.testing.assert_close(again.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    with pytest.raises(RunError, match=r"rule\.seed"):
        resume(copy, {"rule.seed": 4}, quiet=True)


def test_what_two_runs_differ_in_names_both_rules(content, parts, tmp_path):
    first, second = (trained(content | named, tmp_path / str(at)) for at, named in enumerate((RULE, {})))
    found = compare_runs(first.path, second.path).differences
    assert ("rule.type", '"FeedbackAlignment"', "backpropagation") in found
    assert ("rule.seed", "3", "-") in found
    assert not any(key.startswith("rule") for key, *_ in compare_runs(second.path, second.path).differences)


def test_so_do_runs_from_python(tmp_path):
    for name, rule in (("one", FeedbackAlignment()), ("two", None)):
        net, data = network(), EncodedTargets(Points(64), "one-hot", torch.float32)
        options = {"epochs": 1, "batch_size": 32, "quiet": True, "rule": rule}
        fit(net, SquaredError(), SGD(net.param()), data, callbacks=[Recorder(tmp_path / name)], **options)
    one, two = (next((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert ("rule", '"FeedbackAlignment"', "backpropagation") in compare_runs(one, two).differences


def test_explain_shows_what_flows_back_under_the_rule(content, parts):
    explained = explain_experiment("points", {f"rule.{key}": value for key, value in RULE["rule"].items()})
    setup = build(load_experiment(content | RULE)).setup
    setup.step.prepare(setup.net, setup.loss, setup.optimizer)
    matrix = setup.step.rule.state_dict()["feedback"]["2.weight"]
    backward = {step.path: step for step in explained.of("backward")}
    last = backward["2"]
    d_y, d_x = last.inputs[0], last.outputs[0]
    x, t = setup.batches.peek(1)
    y, _ = setup.net.forward(x)
    wanted = setup.loss.backward(1.0, setup.loss.forward(y, t)[1])
    assert d_y.norm == pytest.approx(float(wanted.norm()))
    assert d_x.norm == pytest.approx(float((wanted @ matrix).norm()))
    assert d_x.norm != pytest.approx(float((wanted @ setup.net.layers[2].weight.value).norm()))
    assert explained.title.startswith("points: one training step by the rule FeedbackAlignment, batch 1 of 4")
    assert [step.layer for step in explained.of("update")] == ["SGD"]


def test_parity_compares_everything_but_the_rule_and_says_so(content, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["points", "--set", "epochs=2", "--set", "rule.type=FeedbackAlignment", "--report", "report"]
    result = CliRunner().invoke(parity, arguments)
    assert result.exit_code == 0, result.output
    said = "Compared is everything but the learning rule, FeedbackAlignment, which PyTorch does not have"
    assert said in result.output
    assert said in (tmp_path / "report/report.md").read_text()
    assert "learning rule" not in CliRunner().invoke(parity, ["points", "--set", "epochs=1"]).output


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rule": {"type": "FeedbackAlignmen"}}, "Nearest: FeedbackAlignment"),
        ({"rule": {"type": "FeedbackAlignment", "lr": 1}}, r"rule\.lr"),
        ({"rule": {"type": "FeedbackAlignment", "seed": -1}}, "seed must be"),
        ({"rule": "FeedbackAlignment"}, "rule"),
        (
            {"rule": {"type": "ZerothOrder"}, "precision": "bfloat16"},
            "with precision = 'bfloat16', in which",
        ),
        ({**RULE, "quantities": ["LayerGradients"]}, "rule: must be left out with quantities"),
    ],
)
def test_what_is_wrong_is_said_before_training(content, parts, changes, text):
    with pytest.raises(MytorchError, match=text):
        check_experiment(content | changes)


def test_the_check_takes_a_step_by_the_rule(content, parts):
    check_experiment(content | RULE)
    check_experiment(content | RULE | {"accumulate": 2, "precision": "bfloat16-mixed"})
