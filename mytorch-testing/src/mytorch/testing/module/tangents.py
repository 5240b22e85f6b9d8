"""Whether a module that states how its output and its backward change states it rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Directions, states_tangents
from mytorch.testing.compare import require_close
from mytorch.testing.errors import tried
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import changed, is_floating, leaves, mapped

Slope = Callable[[Tensor, Callable[[], Tensor], Tensor, Tensor], Tensor]
"""Of what is stated, a function, a tensor and a direction: the function's slope as the tensor moves along that."""
Compare = Callable[[str, Tensor, Tensor, str], None]


def compare_tangents(case: Case, slope: Slope, compare: Compare) -> None:
    """`tangent` and `backward_tangent` equal central differences of forward and backward.

    Each input and parameter moves alone, along a random direction, while d_output changes, too. What both methods
    read is as it was afterwards, and a backward may follow. Nothing is said where a module within states neither.
    """
    trial = Trial(case)
    if not all(map(states_tangents, trial.module.modules())):
        return
    inputs = mapped(case.inputs, _copied)
    d_output = trial.upstream(trial.forward(inputs)[0])
    t_d_output = mapped(d_output, _other)
    before = _gradients(trial, inputs, d_output)
    d_inputs = before[: _in_a_row(trial, inputs, None, parameters=False).numel()]
    for name, value, direction, t_input, along in _moves(trial, inputs):
        output, saved = trial.forward(inputs)
        given = (t_input, d_output, t_d_output)
        copies = mapped(given, _copied)
        with tried(lambda: "tangent(t_input, saved, along)"):
            t_output, t_saved = trial.module.tangent(t_input, saved, along)
        stated = _like(t_output, output)
        expected = slope(stated, lambda: _flat(trial.forward(inputs)[0]), value, direction)
        compare(f"t_output along {name}", stated, expected, "match finite differences of forward (tangent)")
        trial.module.zero_grad()
        with tried(lambda: "backward_tangent(d_output, t_d_output, saved, t_saved, along)"):
            d_input, t_d_input = trial.module.backward_tangent(d_output, t_d_output, saved, t_saved, along)
        changes = _in_a_row(trial, inputs, t_d_input)
        linear = _gradients(trial, inputs, t_d_output)
        moved = slope(changes - linear, lambda: _gradients(trial, inputs, d_output), value, direction)
        rule = "match finite differences of backward (backward_tangent)"
        compare(f"the change of the gradients along {name}", changes, moved + linear, rule)
        trial.module.zero_grad()
        again = _in_a_row(trial, inputs, trial.backward(d_output, saved))
        require_close(f"a backward after the tangents along {name}", again, before, "be as without them")
        returned = _in_a_row(trial, inputs, d_input, parameters=False)
        require_close("d_input of backward_tangent", returned, d_inputs, "be that of backward")
        for (path, now), (_, then) in zip(leaves(given, "given"), leaves(copies, ""), strict=True):
            if isinstance(now, Tensor):
                require_close(f"{path} of the tangents", now, then, "not be written into", rtol=0, atol=0)


def _copied(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def _other(d_leaf: Any) -> Any:
    if d_leaf is None:
        return None
    return 0.7 * d_leaf.roll(1) if isinstance(d_leaf, Tensor) else 0.7 * d_leaf


def _moves(trial: Trial, inputs: tuple[Any, ...]) -> Iterator[tuple[str, Tensor, Tensor, Any, Directions]]:
    """What moves: its name, its value and direction, and both as the two methods are given them."""
    differentiated = inputs[: trial.case.predictions]
    is_loss = trial.case.predictions is not None
    still = mapped(differentiated, lambda leaf: torch.zeros_like(leaf) if is_loss and is_floating(leaf) else None)
    torch.manual_seed(trial.case.seed + 5)
    for path, leaf in leaves(differentiated, ""):
        if is_floating(leaf):
            direction = torch.randn_like(leaf)
            yield f"input {path}", leaf, direction, _bare(changed(still, path, direction)), Directions({})
    for name, parameter in trial.module.named_param():
        if parameter.trainable:
            moved = trial.held_constant(name, torch.randn_like(parameter.value))
            assert moved is not None
            yield name, parameter.value, moved, _bare(still), Directions({parameter: moved})


def _bare(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _gradients(trial: Trial, inputs: tuple[Any, ...], d_output: Any) -> Tensor:
    trial.module.zero_grad()
    _, saved = trial.forward(inputs)
    return _in_a_row(trial, inputs, trial.backward(d_output, saved))


def _in_a_row(trial: Trial, inputs: tuple[Any, ...], d_input: Any, parameters: bool = True) -> Tensor:
    """The gradients of the inputs, and those of the parameters; zeros for None."""
    differentiated = inputs[: trial.case.predictions]
    found = _like((d_input,) if len(differentiated) == 1 else d_input, differentiated)
    held = trial.module.param() if parameters else []
    return torch.cat([found, *(_or_zeros(parameter.grad, parameter.value) for parameter in held)])


def _like(value: Any, like: Any) -> Tensor:
    """What a structure holds in the places where another has floating-point tensors, in a row; zeros for None."""
    found = dict(leaves(value, ""))
    parts = [_or_zeros(found.get(path), leaf) for path, leaf in leaves(like, "") if is_floating(leaf)]
    return torch.cat([torch.zeros(0).double(), *parts])


def _or_zeros(value: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like).flatten() if value is None else value.flatten()


def _flat(value: Any) -> Tensor:
    return _like(value, value)
