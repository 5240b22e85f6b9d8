"""The gradients of single samples of a layer that does not state them: one backward for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import EachSample, Module, Parameter, SampleGradients
from mytorch.train.quantities.structure import mapped


def one_by_one(
    module: Module,
    backward: Callable[[Any], object],
    d_output: Any,
    axes: Any,
    rows: int,
    own: Mapping[str, Parameter],
) -> dict[str, SampleGradients]:
    """Run the backward once for each sample, with upstream gradients that are 0 for all others.

    A backward is linear in its upstream gradient. So what a sample adds to a gradient is what is left of it when the
    upstream gradients of all other samples are 0; no forward is repeated, and random layers keep their masks.

    backward: computes the gradients from such an upstream gradient.
    own: the parameters, by name; here they are trained, even if elsewhere they are not for the moment.
    axes: the axis of the samples, for each tensor of `d_output`, in the same structure.
    """
    before = [(parameter, parameter.grad, parameter.trainable) for parameter in module.param()]
    values: dict[str, list[Tensor]] = {name: [] for name in own}
    wanted = vars(module).get("input_grad")
    vars(module)["input_grad"] = False
    try:
        for parameter in own.values():
            parameter.trainable = True
        for sample in range(rows):
            for parameter, _, _ in before:
                parameter.grad = None
            backward(mapped(lambda d, axis, sample=sample: _only(sample, d, axis), d_output, axes))
            for name, parameter in own.items():
                values[name].append(torch.zeros_like(parameter.value) if parameter.grad is None else parameter.grad)
    finally:
        for parameter, grad, trained in before:
            parameter.grad, parameter.trainable = grad, trained
        if wanted is None:
            del vars(module)["input_grad"]
        else:
            vars(module)["input_grad"] = wanted
    return {name: EachSample(torch.stack(gradients)) for name, gradients in values.items()}


def _only(sample: int, d_output: Tensor | None, axis: int) -> Tensor | None:
    """An upstream gradient that is 0 for all other samples."""
    if d_output is None:
        return None
    alone = torch.zeros_like(d_output)
    alone.select(axis, sample).copy_(d_output.select(axis, sample))
    return alone
