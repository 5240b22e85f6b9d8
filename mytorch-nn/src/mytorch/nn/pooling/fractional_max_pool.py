"""The largest value of windows whose places are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Buffer, ShapeError, require_flag, require_floating, require_like, require_saved
from mytorch.core.compiling import is_compiling
from mytorch.nn._own import require_own
from mytorch.nn._spatial import Spatial
from mytorch.nn.pooling._window import TAKEN, require_planes, upstream_of_values
from mytorch.plugins import shown

aten = torch.ops.aten
Output = Tensor | tuple[Tensor, Tensor]
Saved = tuple[Tensor, torch.Size, tuple[int, ...]]


class _FractionalMaxPool(Spatial):
    """Take the largest value of windows that overlap at random, so that sizes shrink by a factor below 2.

    Forward:   y[t] = max of x[start(t):start(t) + kernel_size] along each axis with step = (size - kernel_size) /
               (size_of_y - 1), start(t) = floor((t + u) * step) - floor(u * step), and start = size - kernel_size for
               the last t; u is drawn from [0, 1) for each row, channel and axis, or taken from _random_samples
    Backward:  d_x[s] = sum of d_y[t] over the windows t whose largest value is x[s], the first one of equals
    Kernel:    aten.fractional_max_pool2d_backward and its 3d form
    Shapes:    x: (channels, ...) with two or three sizes by the class, with or without a batch in front;
               y: the same with output_size, or with each size times output_ratio, rounded down;
               indices, with return_indices: as y, int64, places in the flattened sizes of x;
               _random_samples: (batch, channels, sizes), batch 1 without one
    Raises:    ShapeError for other axes, sizes below output_size + kernel_size, of which two sizes need one less, or
               other _random_samples;
               DtypeError for integers;  ArgumentError unless one of output_size and output_ratio is given, for
               arguments out of range, and on the CPU for _random_samples outside of [0, 1)
    Source:    Graham 2014, "Fractional max-pooling"

    Example:
        >>> pool = FractionalMaxPool2d(2, output_size=2, _random_samples=torch.zeros(1, 1, 2))
        >>> pool(torch.arange(9.0).reshape(1, 3, 3))
        tensor([[[4., 5.],
                 [7., 8.]]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"kernel_size": 2, "output_size": 2},
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        output_size: int | Sequence[int] | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        require_flag(self, "return_indices", return_indices)
        self.kernel_size, self.return_indices = self._per_axis("kernel_size", kernel_size, 1), return_indices
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(
                f"{self._name}: output_size or output_ratio must be given, and not both, got {shown(output_size)} and "
                f"{output_ratio!r}"
            )
        self.output_size = None if output_size is None else self._per_axis("output_size", output_size, 1)
        self.output_ratio = None if output_ratio is None else self._ratios(output_ratio)
        if _random_samples is not None:
            require_floating(self, _random_samples, "_random_samples")
        self._random_samples = None if _random_samples is None else Buffer(_random_samples)

    def forward(self, x: Tensor) -> tuple[Output, Saved]:
        require_planes(self, x, self.dimensions)
        sizes = self._sizes(x.shape)
        samples = self._samples(x)
        pool = aten.fractional_max_pool3d if self.dimensions == 3 else aten.fractional_max_pool2d
        y, indices = pool(x, self.kernel_size, sizes, samples)
        return ((y, indices) if self.return_indices else y), (indices, x.shape, self.kernel_size)

    def backward(self, d_output: Any, saved: Saved) -> Tensor | None:
        require_saved(self, saved, Tensor, torch.Size, tuple)
        indices, shape, kernel_size = saved
        require_own(self, "kernel_size", self.kernel_size, kernel_size)
        sizes = self._sizes(shape)
        require_own(self, "output_size", sizes, tuple(indices.shape[-self.dimensions :]))
        d_y = upstream_of_values(self, d_output, indices.shape, self.return_indices)
        if not self.input_grad:
            return None
        if 0 in shape or d_y.is_meta:  # torch has no meta function of the 3d form
            return d_y.new_zeros(shape)
        back = aten.fractional_max_pool3d_backward if self.dimensions == 3 else aten.fractional_max_pool2d_backward
        x = d_y.new_empty(()).expand(shape)  # the kernels ask it for its shape only
        d_x: Tensor = back(d_y, x, self.kernel_size, sizes, indices)
        return d_x

    tangent, backward_tangent = TAKEN

    def _ratios(self, output_ratio: Any) -> tuple[float, ...]:
        """A number between 0 and 1 for each dimension; a single one stands for all. Raises ArgumentError."""
        count = self.dimensions
        given = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * count
        if len(given) != count or not all(isinstance(ratio, float) and 0 < ratio < 1 for ratio in given):
            raise ArgumentError(
                f"{self._name}: output_ratio must be a number above 0 and below 1, or {count} of them, "
                f"got {shown(output_ratio)}"
            )
        return tuple(given)

    def _sizes(self, shape: torch.Size) -> tuple[int, ...]:
        """The sizes of y. Raises ShapeError where x is too small for so many windows."""
        own = shape[-self.dimensions :]
        if self.output_size is not None:
            sizes = self.output_size
        else:
            sizes = tuple([int(size * ratio) for size, ratio in zip(own, self.output_ratio or (), strict=True)])
        more = 3 - self.dimensions  # torch's kernel for three sizes wants them one larger
        for size, wanted, window in zip(own, sizes, self.kernel_size, strict=True):
            if wanted < 1 or wanted + window - more > size:
                raise ShapeError(
                    f"{self._name}: x must have sizes of at least output_size + kernel_size{' - 1' * more} with an "
                    f"output_size of at least 1, got {tuple(shape)} for {sizes} windows of {self.kernel_size}"
                )
        return sizes

    def _samples(self, x: Tensor) -> Tensor:
        """What decides the places of the windows: drawn, or as given. Raises an error unless that fits."""
        batch = x.shape[0] if x.dim() == self.dimensions + 2 else 1
        shape = (batch, x.shape[-self.dimensions - 1], self.dimensions)
        if self._random_samples is None:
            return torch.rand(shape, dtype=x.dtype, device=x.device)
        given = self._random_samples.value
        if given.shape != shape:
            raise ShapeError(f"{self._name}: _random_samples must be {shape} for this x, got {tuple(given.shape)}")
        require_like(self, x, given)
        if not (is_compiling() or given.is_meta or ((given >= 0) & (given < 1)).all()):  # NaN is not; no kernel asks
            raise ArgumentError(f"{self._name}: _random_samples must lie in [0, 1), got {given.flatten().tolist()}")
        return given


class FractionalMaxPool2d(_FractionalMaxPool):
    dimensions = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    dimensions = 3
