"""The linear layer that takes in_features from its first input."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import (
    LazyModule,
    ShapeError,
    UninitializedParameter,
    require_device,
    require_dtype,
    require_flags,
    require_floating_dtype,
    require_input,
    require_whole,
)
from mytorch.nn.linear.linear import Linear


class LazyLinear(LazyModule):
    """A Linear that takes in_features from its first input, or from the weight in a state dict.

    Forward:   y = x @ weight.T + bias; the first one draws the weights, and makes this a Linear
    Backward:  that of Linear, which this is by then: d_x = d_y @ weight;  d_weight = sum of outer(d_y, x);
               d_bias = sum of d_y
    Shapes:    x: (..., in_features);  y: (..., out_features);
               weight: (out_features, in_features);  bias: (out_features,), or None without it
    Raises:    ShapeError if the first x has no axis;  DtypeError if it has another dtype than the weight is to have;
               ArgumentError for out_features that is no whole number of at least 0, or a dtype that is not
               floating point;  UninitializedError where weight or bias is read before there is one: an optimizer, a
               state dict and new initial values need them, so run one batch through the model first
    Initial:   as Linear draws them
    Source:    as Linear; in_features from the first input: torch.nn.LazyLinear, whose behaviour it follows

    Example:
        >>> net = Sequential(LazyLinear(4), ReLU(), LazyLinear(2))
        >>> net(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
        >>> net
        Sequential(
          (0): Linear(in_features=3, out_features=4)
          (1): ReLU()
          (2): Linear(in_features=4, out_features=2)
        )
    """

    becomes = Linear

    def __init__(
        self,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        require_whole(self, "out_features", out_features)
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.out_features = out_features
        self.weight = UninitializedParameter(device, dtype)
        self.bias = UninitializedParameter(device, dtype) if bias else None

    def sizes_of_input(self, x: Tensor) -> dict[str, Any]:
        if not isinstance(x, Tensor) or x.requires_grad:  # sparse ones are taken, as by Linear
            require_input(self, x)
        if not x.dim():
            raise ShapeError(f"{type(self).__name__}: x must have at least one axis, got a tensor of ()")
        if not self.weight.initialized:
            require_dtype(self, x, self.weight.dtype)
        return {"in_features": x.shape[-1]}

    def sizes_of_state(self, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        weight = state.get("weight")
        return None if weight is None or weight.dim() != 2 else {"in_features": weight.shape[1]}
