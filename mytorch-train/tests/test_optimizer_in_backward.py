"""The option of a run whose updates come during the backward pass: the same results, and what it is refused with."""

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Line, Noise, Ramp, Rectify, SquaredError, Table, network

from mytorch.core import ArgumentError
from mytorch.plugins import hookimpl
from mytorch.train import ExperimentError, fit, load_experiment, step, step_in_backward, train_experiment
from mytorch.train.check_experiment import check_experiment
from mytorch.train.choose_step import choose_step
from mytorch.train.parity import compare


class Sees:
    """Whether the layers are as their classes wrote them, between steps."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def batch_ended(self, run):
        self.seen.append(any("backward" in vars(module) for module in run.net.modules()))


def test_a_run_equals_the_plain_one():
    runs, hook = [], Sees()
    for in_backward in (False, True):
        torch.manual_seed(5)
        net = Chain(Dense(2, 4), Rectify(), Noise(), Dense(4, 2))
        optimizer = SGD(net.param(), lr=0.05, momentum=0.9)
        data = Table(inputs := torch.randn(46, 2), inputs * 2)
        options = {"schedule": Ramp(optimizer, 15), "batch_size": 10, "epochs": 3, "test": data, "quiet": True}
        runs.append(
            fit(net, SquaredError(), optimizer, data, hooks=[hook], optimizer_in_backward=in_backward, **options)
        )
    plain, other = runs
    without_time = [[{**record, "seconds": 0} for record in run.history] for run in runs]
    assert without_time[0] == without_time[1]
    torch.testing.assert_close(other.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(other.optimizer.state_dict(), plain.optimizer.state_dict(), rtol=0, atol=0)
    assert hook.seen == [False] * 30


class Coupled(SGD):
    mixes_parameters = True


class Counting(SGD):
    def step(self):
        super().step()


MIXES = "must be updated all at once, got some of them: "
REFUSED = [
    (
        {"clip_grad_norm": 0.5},
        SGD,
        "must be left out with clip_grad_norm, got clip_grad_norm = 0.5: the norm over all",
    ),
    ({"engine": "compiled"}, SGD, "must be left out with the compiled engine, whose step is one function of all grad"),
    ({}, Coupled, f"Coupled: parameters {MIXES}it mixes parameters; leave optimizer_in_backward out"),
    ({}, Counting, f"Counting: parameters {MIXES}it has a step of its own; leave optimizer_in_backward out"),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED)
def test_refusals_come_in_one_line_before_anything_is_written(options, kind, text, tmp_path):
    net = Chain(Dense(1, 1))
    given = {"epochs": 1, "batch_size": 2, "folder": tmp_path / "runs", "quiet": True, "optimizer_in_backward": True}
    with pytest.raises(ArgumentError, match=f"^optimizer_in_backward: {text}") as caught:
        fit(net, SquaredError(), kind(net.param()), Line(4), **given, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_the_key_of_an_experiment(content, tmp_path):
    content |= {"epochs": 2, "optimizer_in_backward": True}
    run = train_experiment(content, output=tmp_path, quiet=True)
    plain = train_experiment(content | {"optimizer_in_backward": False}, output=tmp_path, quiet=True)
    torch.testing.assert_close(run.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    assert "optimizer_in_backward = true" in (run.path / "experiment.toml").read_text()
    both = content | {"clip_grad_norm": 1.0}
    with pytest.raises(ArgumentError, match="optimizer_in_backward: must be left out with clip_grad_norm, got"):
        train_experiment(both, output=tmp_path / "none", quiet=True)
    with pytest.raises(ExperimentError, match="optimizer_in_backward: must be left out with clip_grad_norm, got"):
        check_experiment(both)
    assert not (tmp_path / "none").exists()


def test_parity_takes_the_step_of_the_experiment(content):
    assert compare(load_experiment(content | {"epochs": 2, "optimizer_in_backward": True})).passed
    with pytest.raises(ArgumentError, match="optimizer_in_backward: must be left out with clip_grad_norm, got"):
        compare(load_experiment(content | {"optimizer_in_backward": True, "clip_grad_norm": 1.0}))


def test_without_options_the_step_is_the_plain_one():
    net = network()
    assert choose_step(SGD(net.param()), None, False) is step
    assert choose_step(SGD(net.param()), None, True) is step_in_backward
