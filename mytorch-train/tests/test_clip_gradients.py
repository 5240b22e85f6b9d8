"""Clipping by the joint norm equals torch's, and takes part wherever a step is taken."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from compiled_runs import require_equal, table, was_compiled
from toy_parts import SGD, Chain, Dense, Line, Ramp, Rectify, SquaredError, network

from mytorch.core import ArgumentError, Parameter
from mytorch.plugins import PluginWarning, hookimpl
from mytorch.train import clip_gradient_values, clip_gradients, explain, fit, step, step_in_backward
from mytorch.train.choose_step import choose_step


def parameters(scale, shapes=((3, 4), (5,), (), (0, 2))):
    held = [Parameter(torch.randn(shape, dtype=torch.float64)) for shape in shapes]
    for parameter in held:
        parameter.grad = scale * torch.randn_like(parameter.value)
    return held


@pytest.mark.parametrize("scale", [0.0, 1e-9, 0.01, 1.0, 1e200])
@pytest.mark.parametrize("max_norm", [1e-3, 1, 5.0, math.inf])
def test_it_equals_torchs(scale, max_norm):
    held = parameters(scale)
    twins = [torch.nn.Parameter(parameter.value.clone()) for parameter in held]
    for twin, parameter in zip(twins, held, strict=True):
        twin.grad = parameter.grad.clone()
    torch.nn.utils.clip_grad_norm_(twins, max_norm)
    clip_gradients(SGD([{"params": held[:1]}, {"params": held[1:], "lr": 0.5}]), max_norm)
    for twin, parameter in zip(twins, held, strict=True):
        torch.testing.assert_close(parameter.grad, twin.grad, rtol=1e-14, atol=0, equal_nan=True)


def test_what_is_not_updated_does_not_count():
    frozen, absent, *held = parameters(1.0)
    before = frozen.grad.clone()
    frozen.trainable, absent.grad = False, None
    clip_gradients(SGD([frozen, absent, *held]), 1e-3)
    assert torch.equal(frozen.grad, before)
    norm = torch.cat([parameter.grad.reshape(-1) for parameter in held]).norm()
    torch.testing.assert_close(norm, torch.tensor(1e-3, dtype=torch.float64), rtol=1e-2, atol=0)
    clip_gradients(SGD([absent]), 1.0)
    assert absent.grad is None


def test_a_step_clips_before_the_update():
    net, x, t = network(), torch.randn(5, 2), torch.randn(5, 2)
    before = [parameter.value.clone() for parameter in net.param()]
    step(net, SquaredError(), SGD(net.param(), 1.0), x, t, 1e-3)
    moved = torch.cat([(p.value - old).reshape(-1) for p, old in zip(net.param(), before, strict=True)])
    assert 0.98e-3 < moved.norm() < 1.01e-3


def train(engine="eager", *, epochs=4, **options):
    torch.manual_seed(5)
    net = Chain(Dense(3, 4), Rectify(), Dense(4, 2)).to(torch.float64)
    optimizer = SGD(net.param(), 0.1, momentum=0.9)
    options = {
        "schedule": Ramp(optimizer, 4 * epochs),
        "validation": table(20),
        "batch_size": 10,
        "quiet": True,
    } | options
    return fit(net, SquaredError(), optimizer, table(40), epochs=epochs, engine=engine, **options)


@pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")
def test_a_compiled_run_equals_the_eager_one(interpreted):
    compiled, eager, free = train("compiled", clip_grad_norm=0.1), train(clip_grad_norm=0.1), train()
    require_equal(compiled, eager)
    assert was_compiled(compiled)
    assert eager.history[-1]["train_loss"] != pytest.approx(free.history[-1]["train_loss"], rel=1e-3)
    train("compiled", clip_grad_norm=0.2)
    train("compiled")
    assert len(interpreted) == 3  # each bound is compiled in


class Widens:
    """Tries to change the step in mid-run."""

    @hookimpl
    def epoch_ended(self, run):
        run.setup.step = step


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_run_keeps_its_bound(engine, interpreted):
    with pytest.warns(PluginWarning, match="cannot assign to field 'step'"):
        run = train(engine, clip_grad_norm=0.1, callbacks=[Widens()])
    require_equal(run, train(clip_grad_norm=0.1))


def test_a_step_that_was_compiled_with_another_bound_is_not_used_again(interpreted):
    first = train("compiled", clip_grad_norm=0.1)
    assert first.engine.programs
    other = replace(first.setup, step=choose_step(first.optimizer, clip_grad_norm=0.2))
    first.engine._forget_if_changed(other)
    assert not first.engine.programs


@pytest.mark.parametrize("value", [0, -1.0, math.nan, "1", True])
def test_a_bound_that_is_none_is_refused(value):
    net = Chain(Dense(1, 1))
    given = net, SquaredError(), SGD(net.param())
    with pytest.raises(ArgumentError, match=r"^clip_grad_norm: must be a number above 0, got"):
        fit(*given, Line(4), epochs=1, batch_size=2, quiet=True, clip_grad_norm=value)
    text = rf"^clip_gradients: max_norm must be a number above 0, got {value!r}$"
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ArgumentError, match=text):
        step(*given, torch.ones(2, 1), torch.ones(2, 1), value)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    with pytest.raises(ArgumentError, match=text):
        clip_gradients(given[-1], value)


def test_a_step_that_clips_can_be_traced_whole():
    nets = [network(), network()]
    nets[1].load_state_dict(nets[0].state_dict())
    x, t = torch.randn(5, 2), torch.randn(5, 2)
    taken = torch.compile(step, fullgraph=True, backend="eager"), step
    with torch.no_grad():
        for take, net in zip(taken, nets, strict=True):
            take(net, SquaredError(), SGD(net.param(), 1.0), x, t, 1e-3)
    torch.testing.assert_close(nets[0].state_dict(), nets[1].state_dict())


def test_an_explanation_updates_by_clipped_gradients():
    net, x, t = network(), torch.randn(5, 2), torch.randn(5, 2)
    twin = copy.deepcopy(net)
    step(twin, SquaredError(), SGD(twin.param(), 1.0), x, t, 1e-3)
    (update,) = explain(net, SquaredError(), x, t, SGD(net.param(), 1.0), 1e-3).of("update")
    assert update.summary.endswith(", d clipped to a norm of 0.001")
    found = [numbers.norm for numbers in update.outputs]
    assert found == pytest.approx([float(parameter.value.norm()) for parameter in twin.param()], rel=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 1e200])
@pytest.mark.parametrize("max_value", [1e-3, 1, math.inf])
def test_clipping_by_value_equals_torchs(scale, max_value):
    held = parameters(scale)
    twins = [torch.nn.Parameter(parameter.value.clone()) for parameter in held]
    for twin, parameter in zip(twins, held, strict=True):
        twin.grad = parameter.grad.clone()
    torch.nn.utils.clip_grad_value_(twins, max_value)
    clip_gradient_values(SGD([{"params": held[:1]}, {"params": held[1:], "lr": 0.5}]), max_value)
    for twin, parameter in zip(twins, held, strict=True):
        torch.testing.assert_close(parameter.grad, twin.grad, rtol=0, atol=0)


@pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")
def test_runs_that_clip_by_value(interpreted):
    options = {"clip_grad_value": 0.01}
    eager, compiled, in_backward = (
        train(**options),
        train("compiled", **options),
        train(optimizer_in_backward=True, **options),
    )
    require_equal(compiled, eager)
    assert was_compiled(compiled)
    torch.testing.assert_close(in_backward.net.state_dict(), eager.net.state_dict(), rtol=0, atol=0)
    assert eager.history[-1]["train_loss"] != pytest.approx(train().history[-1]["train_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"clip_grad_value": 0}, "clip_grad_value: must be a number above 0, got 0"),
        (
            {"clip_grad_value": 1.0, "clip_grad_norm": 2.0},
            "clip_grad_value: must be left out with clip_grad_norm = 2.0, which clips the same gradients, got 1",
        ),
        (
            {"clip_grad_value": 1.0, "step": lambda *_given: 0},
            "clip_grad_value: must be left out with a step of your own",
        ),
    ],
)
def test_bounds_of_values_that_are_refused(options, text):
    with pytest.raises(ArgumentError, match=f"^{text}"):
        train(**options)
    net = Chain(Dense(1, 1))
    with pytest.raises(ArgumentError, match=r"^clip_gradient_values: max_value must be a number above 0, got -1"):
        clip_gradient_values(SGD(net.param()), -1)
    with pytest.raises(ArgumentError, match=r"^step_in_backward: clip_grad_value must be a number above 0, got 0"):
        step_in_backward(net, SquaredError(), SGD(net.param()), torch.ones(2, 1), torch.ones(2, 1), 0)


def test_an_explanation_tells_of_clipped_values():
    net, x, t = network(), torch.randn(5, 2), torch.randn(5, 2)
    twin = copy.deepcopy(net)
    step(twin, SquaredError(), SGD(twin.param(), 1.0), x, t, clip_grad_value=1e-3)
    (update,) = explain(net, SquaredError(), x, t, SGD(net.param(), 1.0), clip_grad_value=1e-3).of("update")
    assert update.summary.endswith(", each number of d clipped to 0.001")
    found = [numbers.norm for numbers in update.outputs]
    assert found == pytest.approx([float(parameter.value.norm()) for parameter in twin.param()], rel=1e-6)


@pytest.mark.parametrize("clip", [clip_gradients, clip_gradient_values])
def test_what_is_no_optimizer_is_refused(clip):
    for given, got in ((None, "None"), ([], "builtins.list"), (SGD, "the class SGD; write SGD")):
        with pytest.raises(ArgumentError, match=rf"^{clip.__name__}: optimizer must be an Optimizer .*, got {got}"):
            clip(given, 1.0)
