"""The parameters of a cell, or of one direction of one layer."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import init

from mytorch.core import Module, Parameter, empty


class Weights(NamedTuple):
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None
    weight_hr: Parameter | None = None

    @classmethod
    def empty(
        cls,
        owner: Module,
        rows: int,
        columns: int,
        size: int,
        bias: bool,
        projected_from: int,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> Weights:
        """Those of `rows` numbers in all gates, that read `columns` numbers and a state of `size` numbers.

        projected_from: how many numbers are projected to make the state; 0 for none
        """

        def parameter(name: str, *shape: int) -> Parameter:
            return Parameter(empty(owner, name, shape, device, dtype))

        return cls(
            parameter("weight_ih", rows, columns),
            parameter("weight_hh", rows, size),
            parameter("bias_ih", rows) if bias else None,
            parameter("bias_hh", rows) if bias else None,
            parameter("weight_hr", size, projected_from) if projected_from else None,
        )


def draw(module: Module, hidden_size: int, generator: torch.Generator | None) -> None:
    """Draw all parameters of a module as torch.nn does."""
    bound = 1 / math.sqrt(hidden_size)
    for parameter in module.param():
        init.uniform_(parameter.value, -bound, bound, generator=generator)
