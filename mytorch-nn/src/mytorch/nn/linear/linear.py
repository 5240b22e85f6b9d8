"""The linear layer."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import init
from torch.nn.functional import linear

from mytorch.core import (
    Directions,
    EachSample,
    Module,
    OuterProducts,
    Parameter,
    SampleGradients,
    empty,
    require_device,
    require_flags,
    require_floating_dtype,
    require_input,
    require_last_axis,
    require_like,
    require_room,
    require_same_device,
    require_saved,
    require_upstream,
    require_whole,
    rows_of_samples,
)


class Linear(Module):
    """Map each vector by a matrix and add a bias.

    Forward:   y = x @ weight.T + bias
    Backward:  d_x = d_y @ weight;  d_weight = sum of outer(d_y, x);  d_bias = sum of d_y: sums over the batch
    Shapes:    x: (..., in_features);  y: (..., out_features);
               weight: (out_features, in_features);  bias: (out_features,), or None without it
    Raises:    ShapeError if the last axis of x is not in_features, or d_y has not the shape of y;
               DtypeError for x of another dtype than weight;
               ArgumentError for sizes that are no whole numbers of at least 0, a dtype that is not floating point,
               or an x or d_y on another device, or for weights or a y that have no room in memory
    Initial:   weight and bias uniform within 1 / sqrt(in_features), as torch.nn.Linear draws them
    Source:    Rumelhart, Hinton and Williams 1986, "Learning representations by back-propagating errors"

    Example:
        >>> Linear(3, 4)(torch.zeros(5, 3)).shape
        torch.Size([5, 4])
    """

    states_columns: ClassVar = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        require_whole(self, "in_features", in_features)
        require_whole(self, "out_features", out_features)
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(self, "weight", (out_features, in_features), device, dtype))
        self.bias = Parameter(empty(self, "bias", (out_features,), device, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from torch's generator, or from the one given."""
        if self.weight.value.numel():  # torch warns about an empty one
            init.kaiming_uniform_(self.weight.value, a=math.sqrt(5), generator=generator)
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias.value, -bound, bound, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(x, Tensor) or x.requires_grad:
            require_input(self, x)
        try:
            return linear(x, self.weight.value, None if self.bias is None else self.bias.value), x
        except RuntimeError:  # torch looks at shape and dtype anyway; looking twice costs each step
            require_last_axis(self, x, self.in_features)
            require_like(self, x, self.weight.value)
            require_room(self, "y", (*x.shape[:-1], self.out_features), x, "pass fewer rows")
            raise

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        if not isinstance(x, Tensor):
            require_saved(self, x, Tensor)
        rows, d_rows, trained = x, d_y, self.weight.trainable
        if x.dim() != 2:
            require_upstream(self, d_y, (*x.shape[:-1], self.out_features))
            count = math.prod(x.shape[:-1])
            rows, d_rows = x.reshape(count, x.shape[-1]), d_y.reshape(count, self.out_features)
        elif not self.input_grad or not trained:  # nothing below looks at the columns, or the rows, of d_y
            require_upstream(self, d_y, (x.shape[0], self.out_features))
        try:
            if d_y.is_meta is not x.is_meta:  # torch multiplies them in silence; other devices it tells apart itself
                require_same_device(self, d_y, x, "d_y", "input")
            d_weight = d_x = None
            if trained:
                d_weight = d_rows.t().mm(rows)
            else:
                require_like(self, d_y, x, "d_y")
            if self.input_grad:
                weight = self.weight.value
                if weight.is_meta is not x.is_meta:  # moved since forward
                    require_same_device(self, d_y, weight, "d_y")
                d_x = d_rows.mm(weight)
        except (RuntimeError, AttributeError):  # torch looks at shapes and dtypes anyway, as in forward
            require_upstream(self, d_y, (*x.shape[:-1], self.out_features))
            require_like(self, d_y, x, "d_y")
            raise
        if d_weight is not None:
            self.weight.accumulate(d_weight)
        if self.bias is not None and self.bias.trainable:
            self.bias.accumulate(d_rows.sum(0))
        return d_x if rows is x or d_x is None else d_x.reshape(x.shape)

    def tangent(self, t_x: Tensor | None, x: Tensor, along: Directions) -> tuple[Tensor, Tensor | None]:
        t_y = linear(x, along[self.weight], along[self.bias])
        return t_y if t_x is None else t_y + linear(t_x, self.weight.value), t_x

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, x: Tensor, t_x: Tensor | None, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        if self.weight.trainable:
            t_d_weight = _rows(t_d_y).t() @ _rows(x)
            self.weight.accumulate(t_d_weight if t_x is None else t_d_weight + _rows(d_y).t() @ _rows(t_x))
        if self.bias is not None:
            self.bias.accumulate(_rows(t_d_y).sum(0))
        if not self.input_grad:
            return None, None
        weight = self.weight.value
        return d_y @ weight, t_d_y @ weight + d_y @ along[self.weight]

    def sample_gradients(self, d_y: Tensor, x: Tensor, axis: int) -> dict[str, SampleGradients]:
        d_rows, rows = rows_of_samples(d_y, axis), rows_of_samples(x, axis)
        stated: dict[str, SampleGradients] = {"weight": OuterProducts(d_rows, rows, tuple(self.weight.value.shape))}
        if self.bias is not None:
            stated["bias"] = EachSample(d_rows.squeeze(1) if d_rows.shape[1] == 1 else d_rows.sum(1))
        return stated


def _rows(values: Tensor) -> Tensor:
    """The vectors along the last axis as the rows of a matrix."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
