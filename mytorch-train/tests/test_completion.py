"""Completion of gradients: when each is told of, and an all-reduce that runs while the backward goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from all_reduce import network, rows
from sharing_nets import NETS, tied_across
from torch import distributed
from toy_parts import Chain, Dense, Rectify, SquaredError

from mytorch.core import Module
from mytorch.train import LateGradientError, completion, gradients

BATCH = (torch.randn(6, 3), torch.randn(6, 2))


def told_of(net, parameters=None):
    """The names of the parameters told of together, in the order of the calls, and their gradients."""
    names, calls, kept = {p: name for name, p in net.named_param()}, [], {}

    def tell(complete):
        calls.append([names[p] for p in complete])
        kept.update({names[p]: p.grad for p in complete})

    with completion(net, net.param() if parameters is None else parameters, tell):
        gradients(net, SquaredError(), *BATCH)
    assert all(p.grad is None for p in (net.param() if parameters is None else parameters))
    return calls, kept


@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_each_gradient_is_told_of_once_and_is_the_whole_one(build):
    torch.manual_seed(0)
    net = build()
    random = torch.get_rng_state()
    calls, kept = told_of(net)
    torch.set_rng_state(random)
    gradients(net, SquaredError(), *BATCH)
    wanted = {name: p.grad for name, p in net.named_param() if p.grad is not None}
    assert sorted(name for call in calls for name in call) == sorted(wanted)
    for name, grad in wanted.items():
        torch.testing.assert_close(kept[name], grad, rtol=0, atol=0)


def test_the_last_layer_is_told_of_first():
    calls, _ = told_of(Chain(Dense(3, 4), Rectify(), Dense(4, 2)))
    assert calls == [["2.weight", "2.bias"], ["0.weight", "0.bias"]]


def test_a_tied_parameter_waits_for_all_that_hold_it():
    net = tied_across()
    calls, _ = told_of(net)
    at = {name: number for number, call in enumerate(calls) for name in call}
    assert max(at.values()) == at[next(name for name, _ in net.named_param())]  # the first holder is the last to come


def test_parameters_that_are_not_asked_for_keep_their_gradients():
    net = Chain(Dense(3, 4), Dense(4, 2))
    net.layers[1].bias.trainable = False
    calls, _ = told_of(net, net.layers[1].param())
    assert calls == [["1.weight"]]
    assert all(p.grad is not None for p in net.layers[0].param())


def test_after_an_error_nothing_is_told_at_the_end():
    net, calls = Chain(Dense(3, 4), Dense(4, 2)), []

    def broken_off():
        with completion(net, net.param(), calls.append):
            gradients(net, SquaredError(), *BATCH)
            net.layers[0].weight.accumulate(torch.ones(4, 3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert len(calls) == 2
    assert not any({"forward", "backward"} & set(vars(module)) for module in net.modules())


def test_a_late_gradient_names_what_needs_it_early():
    class Penalty(Module):
        """Adds to the gradient of a weight that only its child holds, after the child's backward."""

        def __init__(self, inner):
            self.inner = inner

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, d_y, saved):
            d_x = self.inner.backward(d_y, saved)
            self.inner.weight.accumulate(0.1 * self.inner.weight.value)
            return d_x

    net = Penalty(Dense(3, 2))
    text = r"^all_reduce: the gradient of inner\.weight must be complete .*, or leave all_reduce out$"
    with pytest.raises(LateGradientError, match=text), completion(net, net.param(), lambda _: None, "all_reduce"):
        gradients(net, SquaredError(), *BATCH)


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
)
def test_two_processes_average_their_gradients_while_the_backward_goes_on(tmp_path):
    toys, processes = Path(__file__).parent / "toys", 2
    results = [tmp_path / f"{rank}.json" for rank in range(processes)]
    started = [
        subprocess.Popen(
            [sys.executable, toys / "all_reduce.py", str(rank), str(processes), tmp_path / "meeting", result],
            env=os.environ | {"PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, result in enumerate(results)
    ]
    try:
        for process in started:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    finally:
        for process in started:
            process.kill()
    net = network()
    gradients(net, SquaredError(), *rows())
    for result in results:
        found = json.loads(result.read_text())
        assert found["early"] == [2, 4]  # the averages of the layers above were on their way
        for parameter, averaged in zip(net.param(), found["gradients"], strict=True):
            torch.testing.assert_close(
                torch.tensor(averaged, dtype=torch.float64), parameter.grad, rtol=1e-12, atol=1e-14
            )
