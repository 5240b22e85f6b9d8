"""Numbers too small to be computed with at full speed count as 0 in a step, and in nothing else."""

import subprocess
import sys
from textwrap import dedent
from typing import ClassVar

import pytest
import torch
from toy_parts import Chain, Dense, SquaredError

from mytorch.core import Optimizer, persistent
from mytorch.plugins import Callback
from mytorch.train import fit, step
from mytorch.train.subnormal_numbers import SubnormalNumbersAsZero

SMALLEST = torch.finfo(torch.float32).tiny


def flushes():
    return sys.float_info.min * 0.5 == 0


pytestmark = pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor cannot take subnormal numbers for 0"
)


class Momentum(Optimizer):
    state_entries: ClassVar = {"velocity": "value"}

    def __init__(self, params):
        super().__init__(params, {"lr": 0.1})

    def update(self, values, grads, states, group):
        for p, g, state in zip(values, grads, states, strict=True):
            velocity = state.setdefault("velocity", persistent(torch.zeros_like(p)))
            p.sub_(group["lr"] * velocity.mul_(0.9).add_(g))


def rows():
    """Whose second column is 0, so that its weights have no gradient."""
    x = torch.tensor([[1.0, 0.0], [-0.5, 0.0], [0.7, 0.0]])
    return list(zip(x, x.flip(1), strict=True))


class Told(Callback):
    must_succeed = True

    def __init__(self):
        self.found = []

    def batch_ended(self):
        self.found.append(flushes())

    def epoch_ended(self):
        self.found.append(flushes())


@pytest.mark.parametrize("engine", ["eager", pytest.param("compiled", marks=pytest.mark.slow), "auto"])
@pytest.mark.filterwarnings("ignore::mytorch.train.compiled.EngineWarning")
def test_what_shrinks_for_ever_becomes_0(engine):
    torch.manual_seed(0)
    net, loss = Chain(Dense(2, 2)), SquaredError()
    optimizer = Momentum(net.param())
    fit(net, loss, optimizer, rows(), epochs=1, batch_size=3, quiet=True)
    velocity = optimizer.state[net.param()[0]]["velocity"]
    velocity.fill_(4 * SMALLEST)
    fit(net, loss, optimizer, rows(), epochs=40, batch_size=3, quiet=True, engine=engine)
    velocity = optimizer.state[net.param()[0]]["velocity"]
    assert (velocity == 0).any()
    assert not ((velocity != 0) & (velocity.abs() < SMALLEST)).any()


@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_it_is_so_in_a_step_and_nowhere_else(engine):
    seen, told = [], Told()

    def own(net, loss, optimizer, inputs, targets):
        seen.append(flushes())
        return step(net, loss, optimizer, inputs, targets)

    net = Chain(Dense(2, 2))
    own = {"step": own} if engine == "eager" else {}
    fit(
        net,
        SquaredError(),
        Momentum(net.param()),
        rows(),
        epochs=2,
        batch_size=3,
        callbacks=[told],
        engine=engine,
        quiet=True,
        **own,
    )
    assert all(seen)
    assert len(seen) == (2 if own else 0)
    assert told.found == [False] * 4
    assert not flushes()


def test_it_ends_with_a_step_that_fails():
    def fail(net, loss, optimizer, inputs, targets):
        raise ValueError("a broken row")

    net = Chain(Dense(2, 2))
    with pytest.raises(ValueError, match="a broken row"):
        fit(net, SquaredError(), Momentum(net.param()), rows(), epochs=1, batch_size=3, step=fail, quiet=True)
    assert not flushes()


def test_it_stays_where_it_was_asked_for():
    torch.set_flush_denormal(True)
    try:
        with SubnormalNumbersAsZero():
            assert flushes()
        assert flushes()
    finally:
        torch.set_flush_denormal(False)


def test_the_threads_of_torch_are_left_alone():
    program = """
        import torch
        from mytorch.train.subnormal_numbers import SubnormalNumbersAsZero

        torch.set_num_threads(2)
        with SubnormalNumbersAsZero():
            x = torch.full((2**20,), torch.finfo(torch.float32).tiny)
        halves = (x * 0.5).view(torch.int32).bool()
        print(halves.all().item())
    """
    found = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"
