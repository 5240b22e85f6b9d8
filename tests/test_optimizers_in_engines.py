"""Each optimizer in every engine: eager, compiled and in the backward pass, with all that a step can be asked for."""

from inspect import signature

import pytest
import torch
from torch.utils import _pytree as pytree

import mytorch.optim
from mytorch.core import ArgumentError, Optimizer
from mytorch.data import TensorDataSet
from mytorch.nn import Linear, MSELoss, Sequential, Tanh
from mytorch.optim import KFAC, LBFGS, Adam, CyclicLR, Muon, OneCycleLR, Shampoo, StepLR
from mytorch.train import fit, step, step_in_backward
from mytorch.train.compiled.carry import Carry
from mytorch.train.compiled.trace import Recipe, TraceError, changing_settings, setting_values, trace

STEPS = 4
PARTS = [getattr(mytorch.optim, name) for name in mytorch.optim.__all__]
OPTIMIZERS = [part for part in PARTS if isinstance(part, type) and issubclass(part, Optimizer)]
OPTIMIZERS.remove(LBFGS)  # needs a closure, and refuses these
OPTIMIZERS.remove(KFAC)  # must be shown the backward, and refuses these, too
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
    found = carry.copies()
    graph(*found, settings, *stacked)
    for _ in range(STEPS):
        step(net, loss, optimizer, *batch)
    bounds = {"rtol": 1e-4, "atol": 1e-3} if cls is Shampoo else {}  # whose roots enlarge what is rounded
    torch.testing.assert_close(found, carry.now(), **bounds)


def test_what_a_schedule_moves_is_a_setting_of_a_compiled_step():
    _, _, optimizer, _ = start(Adam, {})
    assert changing_settings(optimizer, OneCycleLR(optimizer, 0.1, 9)) == ((0, "betas"), (0, "lr"))
    assert setting_values(optimizer, [(0, "betas"), (0, "lr")]) == pytest.approx([0.95, 0.999, 0.004])
    assert changing_settings(optimizer, OneCycleLR(optimizer, 0.1, 9, cycle_momentum=False)) == ((0, "lr"),)


class Named(StepLR):
    """Sets words, which no compiled step can be given."""

    def settings(self, step, initial):
        return {**super().settings(step, initial), "adjust_lr_fn": "original"}


def test_words_that_a_schedule_sets_are_no_setting_of_a_compiled_step():
    _, _, optimizer, _ = start(Muon, {})
    schedule = Named(optimizer, 2)
    with pytest.raises(
        TraceError, match=r"^Muon: setting 'adjust_lr_fn' must be a number, or a tuple of numbers, where .*'original'"
    ):
        changing_settings(optimizer, schedule)


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_updates_in_the_backward_pass_are_those_of_whole_steps(cls):
    plain, other = start(cls, {}), start(cls, {})
    for _ in range(STEPS):
        step(*plain[:3], *plain[3])
        step_in_backward(*other[:3], *other[3])
    torch.testing.assert_close(other[0].state_dict(), plain[0].state_dict(), rtol=0, atol=0)
    held, expected = other[2].state_dict()["state"], plain[2].state_dict()["state"]
    torch.testing.assert_close(held, expected, rtol=0, atol=0)


ASKED = {"plainly": {}, "clipped": {"clip_grad_value": 0.01}, "accumulated": {"batch_size": 4, "accumulate": 2}}


def trained(cls, schedule=lambda optimizer: StepLR(optimizer, 2), **options):
    """A run of full and smaller batches, with a rate that falls unless another schedule is asked for."""
    torch.manual_seed(0)
    net = Sequential(Linear(2, 3), Tanh(), Linear(3, 1))
    optimizer = cls([p for p in net.param() if cls is not Muon or p.value.dim() == 2], lr=0.01)
    data = TensorDataSet(x := torch.randn(19, 2), x.sum(1, keepdim=True))
    options = {"batch_size": 8, "epochs": 8, "quiet": True, "schedule": schedule(optimizer)} | options
    return fit(net, MSELoss(), optimizer, data, **options)


@pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_runs_of_every_engine_are_equal_or_refused_by_name(cls, asked, interpreted):
    options = ASKED[asked]
    eager = trained(cls, **options)
    assert eager.history[-1]["train_loss"] < eager.history[0]["train_loss"]
    compiled = trained(cls, engine="compiled", **options)
    assert any(program.checked for program in compiled.engine.programs.values())
    torch.testing.assert_close(compiled.net.state_dict(), eager.net.state_dict(), rtol=1e-4, atol=1e-5)
    if "accumulate" in options:
        whole = trained(cls, batch_size=8)
        torch.testing.assert_close(eager.net.state_dict(), whole.net.state_dict(), rtol=1e-4, atol=1e-5)
        with pytest.raises(ArgumentError, match="optimizer_in_backward: must be left out with accumulate"):
            trained(cls, optimizer_in_backward=True, **options)
        return
    in_backward = trained(cls, optimizer_in_backward=True, **options)
    torch.testing.assert_close(in_backward.net.state_dict(), eager.net.state_dict(), rtol=0, atol=0)


@pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")
@pytest.mark.parametrize("precision", [None, "bfloat16-mixed", "bfloat16"])
@pytest.mark.parametrize(
    "cls", [cls for cls in OPTIMIZERS if {"momentum", "betas"} & signature(cls).parameters.keys()]
)
def test_momentum_that_a_schedule_moves_compiles(cls, precision, interpreted):
    def run(engine):
        cycle = lambda optimizer: CyclicLR(optimizer, 0.001, 0.02, step_size_up=7, base_momentum=0.6)  # noqa: E731
        return trained(cls, schedule=cycle, engine=engine, precision=precision)

    eager, compiled = run("eager"), run("compiled")
    assert any(program.checked for program in compiled.engine.programs.values())
    driven = {"lr", "betas" if "betas" in compiled.optimizer.param_groups[0] else "momentum"}
    assert [{name for _, name in made.recipe.settings} for made in compiled.engine.programs.values()] == [driven]
    bounds = {"rtol": 1e-4, "atol": 1e-5} if precision is None else {"rtol": 0.05, "atol": 0.02}
    torch.testing.assert_close(compiled.net.state_dict(), eager.net.state_dict(), **bounds)


@pytest.mark.filterwarnings("ignore::mytorch.train.compiled.EngineWarning")
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("engine", [{}, {"engine": "compiled"}, {"optimizer_in_backward": True}], ids=str)
def test_lbfgs_is_refused_by_name_without_a_step_of_ones_own(engine, asked, interpreted):
    with pytest.raises(ArgumentError, match=r"own for LBFGS|LBFGS: parameters must be updated all at|accumulate"):
        trained(LBFGS, **engine, **ASKED[asked])
