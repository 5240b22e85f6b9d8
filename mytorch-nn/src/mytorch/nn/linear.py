"""The linear layer."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import init

from mytorch.core import (
    Module,
    Parameter,
    ShapeError,
    require_dtype,
    require_last_axis,
    require_no_grad,
    require_range,
)


class Linear(Module):
    """Map each vector by a matrix and add a bias.

    Forward:   y = x @ weight.T + bias
    Backward:  d_x = d_y @ weight;  d_weight = sum of outer(d_y, x);  d_bias = sum of d_y: sums over the batch
    Shapes:    x: (..., in_features);  y: (..., out_features);
               weight: (out_features, in_features);  bias: (out_features,), or None without it
    Raises:    ShapeError if the last axis of x is not in_features, or d_y has not the shape of y;
               DtypeError for x of another dtype than weight; ArgumentError for sizes below 0
    Initial:   weight and bias uniform within 1 / sqrt(in_features), as torch.nn.Linear draws them
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_range(self, "in_features", in_features, 0)
        require_range(self, "out_features", out_features, 0)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from torch's generator, or from the one given."""
        if self.weight.value.numel():  # torch warns about an empty one
            init.kaiming_uniform_(self.weight.value, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias.value, -bound, bound, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.requires_grad:
            require_no_grad(self, x)
        try:
            return F.linear(x, self.weight.value, None if self.bias is None else self.bias.value), x
        except RuntimeError:  # torch looks at shape and dtype anyway; looking twice costs each step
            require_last_axis(self, x, self.in_features)
            require_dtype(self, x, self.weight.value.dtype)
            raise

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        rows, d_rows = x, d_y
        if x.dim() != 2:
            wanted = (*x.shape[:-1], self.out_features)
            if d_y.shape != wanted:  # another shape with as many numbers would be scrambled
                raise ShapeError(f"Linear: d_y must have the shape of the output, {wanted}, got {tuple(d_y.shape)}")
            count = math.prod(x.shape[:-1])
            rows, d_rows = x.reshape(count, self.in_features), d_y.reshape(count, self.out_features)
        self.weight.accumulate(d_rows.T.mm(rows))
        if self.bias is not None:
            self.bias.accumulate(d_rows.sum(0))
        if not self.input_grad:
            return None
        d_x = d_rows.mm(self.weight.value)
        return d_x if rows is x else d_x.reshape(x.shape)
