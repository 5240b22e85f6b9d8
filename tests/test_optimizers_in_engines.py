"""Each optimizer of mytorch-optim in a step that is traced for the compiled engine, and in the backward pass."""

from inspect import signature

import pytest
import torch
from torch.utils import _pytree as pytree

import mytorch.optim
from mytorch.core import Optimizer
from mytorch.nn import Linear, MSELoss, Sequential, Tanh
from mytorch.optim import LBFGS, Adam, Muon, OneCycleLR
from mytorch.train import step, step_in_backward
from mytorch.train.compiled.carry import Carry
from mytorch.train.compiled.trace import Recipe, TraceError, changing_settings, trace

STEPS = 4
PARTS = [getattr(mytorch.optim, name) for name in mytorch.optim.__all__]
OPTIMIZERS = [part for part in PARTS if isinstance(part, type) and issubclass(part, Optimizer)]
OPTIMIZERS.remove(LBFGS)  # needs a closure, and refuses these
VARIANTS = [
    {},
    {"momentum": 0.9},
    {"amsgrad": True, "weight_decay": 0.1},
    {"decoupled_weight_decay": True, "weight_decay": 0.1},
    {"momentum": 0.9, "centered": True},
    {"t0": 2},
    {"betas": (0.5, 0.6)},  # for which RAdam never divides
]
TAKEN = [(cls, kw) for cls in OPTIMIZERS for kw in VARIANTS if kw.keys() <= signature(cls).parameters.keys()]


def start(cls, options):
    torch.manual_seed(0)
    net = Sequential(Linear(2, 3), Tanh(), Linear(3, 1))
    params = [p for p in net.param() if cls is not Muon or p.value.dim() == 2]
    return net, MSELoss(), cls(params, lr=0.05, **options), (torch.randn(5, 2), torch.randn(5, 1))


@pytest.mark.parametrize(("cls", "options"), TAKEN, ids=str)
def test_a_traced_step_equals_the_eager_one(cls, options):
    net, loss, optimizer, batch = start(cls, options)
    step(net, loss, optimizer, *batch)
    carry = Carry(net, loss, optimizer)
    leaves, structure = pytree.tree_flatten(batch)
    changing = changing_settings(optimizer, None)
    assert changing == ((0, "lr"),)
    graph = trace(Recipe(net, loss, optimizer, carry, changing, structure), STEPS, leaves)
    settings = torch.full((STEPS, 1), 0.05, dtype=torch.float64)
    stacked = [torch.stack([leaf] * STEPS) for leaf in leaves]
    found = graph(*carry.gather(), settings, *stacked)
    for _ in range(STEPS):
        step(net, loss, optimizer, *batch)
    for actual, expected in zip(found, carry.gather(), strict=False):
        torch.testing.assert_close(actual, expected)


def test_betas_that_a_schedule_moves_are_no_setting_of_a_compiled_step():
    _, _, optimizer, _ = start(Adam, {})
    schedule = OneCycleLR(optimizer, 0.1, total_steps=9)
    with pytest.raises(TraceError, match=r"^Adam: setting 'betas' must be one number where .*; leave momentum"):
        changing_settings(optimizer, schedule)
    assert changing_settings(optimizer, OneCycleLR(optimizer, 0.1, 9, cycle_momentum=False)) == ((0, "lr"),)


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_updates_in_the_backward_pass_are_those_of_whole_steps(cls):
    plain, other = start(cls, {}), start(cls, {})
    for _ in range(STEPS):
        step(*plain[:3], *plain[3])
        step_in_backward(*other[:3], *other[3])
    torch.testing.assert_close(other[0].state_dict(), plain[0].state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(other[2].state_dict(), plain[2].state_dict(), rtol=0, atol=0)
