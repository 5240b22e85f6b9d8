"""What normalisations share: a learned scale and shift, and the sizes of the axes that are normalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import (
    ArgumentError,
    EachSample,
    Module,
    Parameter,
    SampleGradients,
    ShapeError,
    empty,
    require_device,
    require_floating,
    require_floating_dtype,
    require_input,
    require_like,
    require_upstream,
)
from mytorch.nn._own import require_own
from mytorch.plugins import shown


class Affine(Module):
    """A layer with a learned scale and shift, either of which may be left out."""

    weight: Parameter | None
    bias: Parameter | None

    def _set_affine(
        self,
        shape: tuple[int, ...],
        scale: bool,
        shift: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.weight = Parameter(empty(self, "weight", shape, device, dtype).fill_(1)) if scale else None
        self.bias = Parameter(empty(self, "bias", shape, device, dtype).zero_()) if shift else None

    def reset_parameters(self) -> None:
        """Set scale and shift to 1 and 0."""
        for parameter, fill in ((self.weight, 1), (self.bias, 0)):
            if parameter is not None:
                init.constant_(parameter.value, fill)

    def _scale_and_shift(self) -> tuple[Tensor | None, Tensor | None]:
        return (
            None if self.weight is None else self.weight.value,
            None if self.bias is None else self.bias.value,
        )

    def _dense_scale_and_shift(self) -> tuple[Tensor | None, Tensor | None]:
        """The same for kernels that take no notice of strides."""
        weight, bias = self._scale_and_shift()
        return None if weight is None else weight.contiguous(), None if bias is None else bias.contiguous()

    def _wanted(self) -> list[bool]:
        """Of which a backward kernel is to compute the gradient: x, scale, shift."""
        weight, bias = self.weight, self.bias
        return [self.input_grad, weight is not None and weight.trainable, bias is not None and bias.trainable]

    def _accumulate(self, d_weight: Tensor | None, d_bias: Tensor | None) -> None:
        if self.weight is not None and d_weight is not None:
            self.weight.accumulate(d_weight)
        if self.bias is not None and d_bias is not None:
            self.bias.accumulate(d_bias)

    def _each_sample(self, d_y: Tensor, n: Tensor, axis: int, *kept: int) -> dict[str, SampleGradients]:
        """The gradients of single samples: d_y * n and d_y, summed over what has no parameter."""
        axes = [axis, *(each % d_y.dim() for each in kept)]
        others = [each for each in range(d_y.dim()) if each not in axes]
        order = [sorted(axes).index(each) for each in axes]

        def summed(values: Tensor) -> SampleGradients:
            return EachSample((values.sum(others) if others else values).permute(order))

        stated: dict[str, SampleGradients] = {}
        if self.weight is not None:
            stated["weight"] = summed(d_y * n)
        if self.bias is not None:
            stated["bias"] = summed(d_y)
        return stated

    def _backward_of_nothing(self, d_y: Tensor) -> Tensor | None:
        """For an empty batch, which not every kernel survives."""
        for parameter in (self.weight, self.bias):
            if parameter is not None:
                parameter.accumulate(torch.zeros_like(parameter.value))
        return d_y if self.input_grad else None

    def _require_dtype(self, x: Tensor) -> None:
        if self.weight is None:
            require_floating(self, x)
        else:
            require_like(self, x, self.weight.value)

    def _require_upstream(self, d_y: Tensor, shape: torch.Size, x: Tensor) -> None:
        """Raise ShapeError, DtypeError or ArgumentError unless `d_y` fits output, saved x and parameters."""
        require_upstream(self, d_y, shape)
        require_like(self, d_y, x, "d_y")
        if self.weight is not None:
            require_like(self, d_y, self.weight.value, "d_y")

    @property
    def _name(self) -> str:
        return type(self).__name__


class OfLastAxes(Affine):
    """A normalisation over the last axes of x, whose sizes are `normalized_shape`."""

    normalized_shape: tuple[int, ...]

    def _set_shape(self, normalized_shape: Any) -> None:
        """Keep the sizes. Raises ArgumentError unless they are one whole number above 0, or several."""
        given = (normalized_shape,) if type(normalized_shape) is int else normalized_shape
        if not (isinstance(given, Sequence) and given and all(type(size) is int and size > 0 for size in given)):
            raise ArgumentError(
                f"{self._name}: normalized_shape must be a whole number of at least 1, or several, "
                f"got {shown(normalized_shape)}"
            )
        self.normalized_shape = tuple(given)

    def _require_own(self, x: Tensor) -> None:
        """Raise ArgumentError for the x that a layer of another normalized_shape saved."""
        last = tuple(x.shape[-len(self.normalized_shape) :])
        require_own(self, "normalized_shape", self.normalized_shape, last)

    def _require_last_axes(self, x: Tensor) -> None:
        require_input(self, x)
        if x.shape[-len(self.normalized_shape) :] != self.normalized_shape:
            raise ShapeError(
                f"{self._name}: last axes of x must be {self.normalized_shape}, got a tensor of {tuple(x.shape)}"
            )
        self._require_dtype(x)
