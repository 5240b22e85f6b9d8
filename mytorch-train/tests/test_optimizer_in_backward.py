"""The option of a run whose updates come during the backward pass: the same results, and what it is refused with."""

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Line, Noise, Ramp, Rectify, SquaredError, Table, network

from mytorch.core import ArgumentError
from mytorch.plugins import hookimpl
from mytorch.train import fit, step, step_in_backward
from mytorch.train.choose_step import choose_step


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
            fit(net, SquaredError(), optimizer, data, callbacks=[hook], optimizer_in_backward=in_backward, **options)
        )
    plain, other = runs
    without_time = [[{**record, "seconds": 0} for record in run.history] for run in runs]
    assert without_time[0] == without_time[1]
    torch.testing.assert_close(other.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    held, expected = other.optimizer.state_dict()["state"], plain.optimizer.state_dict()["state"]
    torch.testing.assert_close(held, expected, rtol=0, atol=0)
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
        "must be left out with clip_grad_norm = 0.5, since the norm over all",
    ),
    ({"engine": "compiled"}, SGD, "must be left out with the compiled engine, whose step is one function of all grad"),
    ({}, Coupled, f"Coupled: parameters {MIXES}it mixes parameters; leave optimizer_in_backward out"),
    ({}, Counting, f"Counting: parameters {MIXES}it has a step of its own; leave optimizer_in_backward out"),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED)
def test_refusals_come_in_one_line_before_the_first_step(options, kind, text):
    net = Chain(Dense(1, 1))
    given = {"epochs": 1, "batch_size": 2, "quiet": True, "optimizer_in_backward": True}
    with pytest.raises(ArgumentError, match=f"^optimizer_in_backward: {text}") as caught:
        fit(net, SquaredError(), kind(net.param()), Line(4), **given, **options)
    assert "\n" not in str(caught.value)


def test_without_options_the_step_is_the_plain_one():
    net = network()
    assert choose_step(SGD(net.param()), None, False) is step
    assert choose_step(SGD(net.param()), None, True) is step_in_backward
