"""Whether backward returns the derivative of forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import allow_autograd
from mytorch.testing.compare import require_close
from mytorch.testing.errors import Skip
from mytorch.testing.structure import is_floating, leaves, mapped
from mytorch.testing.trial import Case, Trial

STEP = 1e-6  # of central differences in float64: truncation about 1e-12, rounding about 1e-10
DIRECTIONS = 2


def finite_differences(case: Case) -> None:
    """Each gradient along random directions equals the central difference of forward."""
    trial = Trial(case)
    gradients = trial.gradients(case.inputs)
    inputs = mapped(case.inputs, lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf)
    d_output = trial.upstream(trial.forward(inputs)[0])
    differentiated = leaves(inputs[: case.predictions], "gradient of input")
    moved = {path: leaf for path, leaf in differentiated if is_floating(leaf)}
    moved |= {f"gradient of {name}": parameter.value for name, parameter in trial.module.named_param()}
    for name, value in moved.items():
        gradient = gradients[name]
        for turn in range(DIRECTIONS):
            torch.manual_seed(case.seed + 3 + turn)
            direction = torch.randn_like(value)
            expected = _difference(trial, inputs, d_output, value, direction)
            actual = torch.zeros(()).double() if gradient is None else (gradient * direction).sum()
            scale = 1 + float(expected.abs())
            require_close(name, actual, expected, "match finite differences of forward", atol=1e-6 * scale)


def _difference(trial: Trial, inputs: Any, d_output: Any, value: Tensor, direction: Tensor) -> Tensor:
    at = value.clone()
    ends = []
    for sign in (1, -1):
        value.copy_(at + sign * STEP * direction)
        ends.append(trial.objective(trial.forward(inputs)[0], d_output))
    value.copy_(at)
    return (ends[0] - ends[1]) / (2 * STEP)


def autograd(case: Case) -> None:
    """Each gradient equals autograd's through the module's own forward."""
    trial = Trial(case)
    gradients = trial.gradients(case.inputs)

    def watched(leaf: Any) -> Any:
        return leaf.clone().requires_grad_() if is_floating(leaf) else leaf

    inputs = (*mapped(case.differentiated, watched), *case.inputs[len(case.differentiated) :])
    sources = {
        path: leaf
        for path, leaf in leaves(inputs[: case.predictions], "gradient of input")
        if is_floating(leaf) and leaf.requires_grad
    }
    parameters = dict(trial.module.named_param())
    values = {name: parameter.value for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.value = values[name].clone().requires_grad_()
            sources[f"gradient of {name}"] = parameter.value
        with torch.enable_grad(), allow_autograd():
            output, _ = trial.forward(inputs)
            objective = trial.objective(output, trial.upstream(output))
        if not sources or not objective.requires_grad:
            raise Skip("autograd cannot follow this forward")
        expected = torch.autograd.grad(objective, list(sources.values()), allow_unused=True)  # noqa: TID251
    finally:
        for name, parameter in parameters.items():
            parameter.value = values[name]
        trial.rewind()  # buffers may have been made part of the graph
    for (name, _), gradient in zip(sources.items(), expected, strict=True):
        require_close(name, gradients[name], gradient, "match autograd through forward")
