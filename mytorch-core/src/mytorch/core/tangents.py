"""How the parameters move, for layers that state how their output and their backward change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

import torch
from torch import Tensor

from mytorch.core.errors import ShapeError
from mytorch.core.parameter import Parameter

METHODS = ("tangent", "backward_tangent")


class Directions:
    """For each parameter, the tensor along which it moves: its tangent.

    directions[parameter] has the shape and dtype of the parameter's value, and is zeros for one that does not move;
    directions[None] is None, for a layer with an optional parameter.
    Raises ShapeError for a tensor that has not the shape of its parameter.

    Example:
        >>> import torch
        >>> from mytorch.core import Directions, Parameter
        >>> weight, bias = Parameter(torch.ones(2)), Parameter(torch.ones(1))
        >>> along = Directions({weight: torch.tensor([1.0, -1.0])})
        >>> along[weight], along[bias]
        (tensor([ 1., -1.]), tensor([0.]))
    """

    def __init__(self, moved: Mapping[Parameter, Tensor]) -> None:
        for parameter, direction in moved.items():
            if direction.shape != parameter.value.shape:
                raise ShapeError(
                    f"Directions: direction must have the shape of its parameter, {tuple(parameter.value.shape)}, "
                    f"got {tuple(direction.shape)}"
                )
        self._moved = dict(moved)

    @overload
    def __getitem__(self, parameter: Parameter) -> Tensor: ...
    @overload
    def __getitem__(self, parameter: None) -> None: ...
    def __getitem__(self, parameter: Parameter | None) -> Tensor | None:
        if parameter is None:
            return None
        value, direction = parameter.value, self._moved.get(parameter)
        return torch.zeros_like(value) if direction is None else direction.to(value)


def states_tangents(module: object) -> bool:
    """Whether a module states `tangent` and `backward_tangent`, and for the forward and backward that it has.

    A subclass with another forward or backward inherits the statement of its base, which need not hold for it: it
    counts only if it states them anew.
    """
    classes = type(module).__mro__

    def place(method: str) -> int:
        return next(number for number, cls in enumerate(classes) if method in vars(cls))

    return max(map(place, METHODS)) <= min(place("forward"), place("backward"))
