"""One training step, watched."""

from __future__ import annotations

from typing import Any

from mytorch.core import Module, Optimizer, Parameter, add_path, tree
from mytorch.train.clip_gradients import clip_gradient_values, clip_gradients
from mytorch.train.explain.explanation import Explanation
from mytorch.train.explain.formula import formula_of
from mytorch.train.explain.numbers_of import Numbers, copied
from mytorch.train.explain.recorder import LOSS, Clock, Recorder
from mytorch.train.explain.steps import Step
from mytorch.train.explain.unchanged import unchanged
from mytorch.train.observe import intercept
from mytorch.train.step import gradients


def explain(
    net: Module,
    loss: Module,
    x: Any,
    t: Any,
    optimizer: Optimizer | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
) -> Explanation:
    """What one training step on a batch does, layer by layer: formulas, shapes, numbers, memory, time, gradients.

    x, t: the inputs (a tuple if the model takes several) and the targets.
    optimizer: with it, the update is part of the step; with clip_grad_norm or clip_grad_value, by
        gradients that are clipped.
    The step is taken in training mode, from gradients that are None. Afterwards model, loss, optimizer and random
    state are as before; it is taken twice, so that no time is that of a first call.
    """
    x, t = copied(x), copied(t)
    for _ in range(2):
        with unchanged(net, loss, optimizer):
            net.train()
            value, steps = _watched(net, loss, x, t)
            if optimizer is not None:
                steps = (*steps, _update(net, optimizer, clip_grad_norm, clip_grad_value))
    return Explanation(f"One training step of {type(net).__name__}", value, steps)


def _watched(net: Module, loss: Module, x: Any, t: Any) -> tuple[float, tuple[Step, ...]]:
    recorder = Recorder(net, loss)
    inside_loss = ((f"{LOSS}.{path}" if path else LOSS, module) for path, module in loss.named_modules())
    try:
        with intercept(tree.once([*net.named_modules(), *inside_loss]), recorder.around):
            value, _ = gradients(net, loss, x, t)
    except Exception as error:
        add_path(error, net)
        raise
    return value.item(), recorder.steps()


def _update(net: Module, optimizer: Optimizer, clip_grad_norm: float | None, clip_grad_value: float | None) -> Step:
    clipped = ""
    if clip_grad_norm is not None:
        clip_gradients(optimizer, clip_grad_norm)
        clipped = f", d clipped to a norm of {clip_grad_norm:g}"
    if clip_grad_value is not None:
        clip_gradient_values(optimizer, clip_grad_value)
        clipped += f", each number of d clipped to {clip_grad_value:g}"
    active = [(name, parameter) for name, parameter in net.named_param() if parameter.grad is not None]
    followed = tuple(Numbers.of(f"d_{name}", one.grad) for name, one in active if one.grad is not None)
    before = _values(active)
    clock = Clock()
    began = clock.now()
    optimizer.step()
    seconds = clock.now() - began
    return Step(
        "update",
        "optimizer",
        type(optimizer).__name__,
        depth=0,
        use=1,
        summary=f"{optimizer!r}{clipped}",
        formula=formula_of(type(optimizer), "update"),
        inputs=before,
        outputs=_values(active),
        gradients=followed,
        seconds=seconds,
    )


def _values(named: list[tuple[str, Parameter]]) -> tuple[Numbers, ...]:
    return tuple(Numbers.of(name, parameter.value) for name, parameter in named)
