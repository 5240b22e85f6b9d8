"""Matrices that stand for a layer's weights while errors go back through it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, Parameter, StateError
from mytorch.core.tree import own
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight

Pairs = list[tuple[Parameter, Tensor]]
ValueOf = Callable[[Tensor, Tensor], Tensor]


class Feedback:
    """A fixed random matrix for every weight of a net of two and more dimensions.

    Formula:  uniform between -bound and bound, with bound = sqrt(6 / (fan_in + fan_out)), so that errors neither grow
              nor shrink much from layer to layer
    Source:   Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"
    The same net, seed and dtype give the same matrices on every device.
    """

    def __init__(self, net: Module, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        named = {name: held for name, held in net.named_param() if _is_matrix(held.value)}
        self._matrices = {}
        for name, held in named.items():
            drawn = glorot_uniform(held.value.shape, held.value.dtype, generator)
            self._matrices[name] = drawn.to(held.value.device)
        by_parameter = {held: self._matrices[name] for name, held in named.items()}
        held_by = {path: [held for _, held in own(module, Parameter)] for path, module in net.named_modules()}
        self._layers = [
            (module, pairs)
            for path, module in net.named_modules()
            if (pairs := [(held, by_parameter[held]) for held in held_by[path] if held in by_parameter])
        ]

    def gradients(
        self, net: Module, loss: Module, inputs: Any, targets: Any, value_of: ValueOf | None = None
    ) -> tuple[Tensor, Weight]:
        """Forward, and a backward in which a layer's weights have other values: those of the matrices.

        value_of: of a matrix and the weight, what stands for the weight instead of the matrix.
        """
        before = []
        try:
            for module, pairs in self._layers:  # as `intercept` does, without what it does for forwards
                before.append(vars(module).get("backward"))
                vars(module)["backward"] = _fed_back(module.backward, pairs, value_of)
            return gradients(net, loss, inputs, targets)
        finally:
            for (module, _), own_backward in zip(self._layers, before, strict=False):
                if own_backward is None:
                    del vars(module)["backward"]
                else:
                    vars(module)["backward"] = own_backward

    def state_dict(self) -> dict[str, Tensor]:
        """The matrices, by the names of the weights."""
        return dict(self._matrices)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the matrices of a state. Raises StateError, before anything changes, for those of another net."""
        shapes = {name: tuple(matrix.shape) for name, matrix in self._matrices.items()}
        found = {name: tuple(matrix.shape) for name, matrix in state.items()}
        if shapes != found:
            raise StateError(
                f"Feedback: matrices must have the names and shapes of the weights, {shapes}, got {found}"
            )
        for name, matrix in self._matrices.items():
            matrix.copy_(state[name])


def _is_matrix(value: Tensor) -> bool:
    return value.dim() >= 2 and value.is_floating_point()


def glorot_uniform(shape: Sequence[int], dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Numbers between -bound and bound, with bound = sqrt(6 / (fan_in + fan_out)), for a weight of this shape."""
    bound = math.sqrt(6 / max((shape[0] + shape[1]) * math.prod(shape[2:]), 1))
    return torch.empty(tuple(shape), dtype=dtype).uniform_(-bound, bound, generator=generator)


def _fed_back(method: Callable[..., Any], pairs: Pairs, value_of: ValueOf | None) -> Callable[..., Any]:
    """A backward with other values: a function, since walks through the net would find the parameters of a partial."""

    def backward(*args: Any, **kwargs: Any) -> Any:
        values = [held.value for held, _ in pairs]  # all of them first: a layer may hold one under two names
        for (held, matrix), value in zip(pairs, values, strict=True):
            if matrix.dtype is not value.dtype:  # in half precision
                matrix = matrix.to(value.dtype)
            held.value = matrix if value_of is None else value_of(matrix, value)
        try:
            return method(*args, **kwargs)
        finally:
            for (held, _), value in zip(pairs, values, strict=True):
                held.value = value

    return backward
