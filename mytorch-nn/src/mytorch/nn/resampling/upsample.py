"""Another size by interpolation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    ShapeError,
    require_choice,
    require_flags,
    require_floating,
    require_room,
    require_saved,
    require_upstream,
)
from mytorch.nn._own import require_own
from mytorch.nn._tangents import LINEAR
from mytorch.plugins import shown

aten, direct = torch.ops.aten, torch._C._nn  # through the second, which has no backward passes, a call takes half
KERNELS: dict[tuple[str, int], tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    ("nearest", 1): (direct.upsample_nearest1d, aten.upsample_nearest1d_backward),
    ("nearest", 2): (direct.upsample_nearest2d, aten.upsample_nearest2d_backward),
    ("nearest", 3): (direct.upsample_nearest3d, aten.upsample_nearest3d_backward),
    ("nearest-exact", 1): (direct._upsample_nearest_exact1d, aten._upsample_nearest_exact1d_backward),
    ("nearest-exact", 2): (direct._upsample_nearest_exact2d, aten._upsample_nearest_exact2d_backward),
    ("nearest-exact", 3): (direct._upsample_nearest_exact3d, aten._upsample_nearest_exact3d_backward),
    ("linear", 1): (direct.upsample_linear1d, aten.upsample_linear1d_backward),
    ("bilinear", 2): (direct.upsample_bilinear2d, aten.upsample_bilinear2d_backward),
    ("bicubic", 2): (direct.upsample_bicubic2d, aten.upsample_bicubic2d_backward),
    ("trilinear", 3): (direct.upsample_trilinear3d, aten.upsample_trilinear3d_backward),
}
"""The kernel of a mode and a number of sizes, and that of its backward."""
MODES = tuple(dict.fromkeys(mode for mode, _ in KERNELS))
Plan = tuple[Any, ...]


class _Resampled(Module):
    """A layer that gives an image another size: `size`, or its own times `scale_factor`."""

    mode: str
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def _set_size(self, size: Any, scale_factor: Any) -> None:
        """Keep the size or the factor. Raises ArgumentError unless one of them is given, and above 0."""
        name = type(self).__name__
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"{name}: size or scale_factor must be given, and not both, got {shown(size)} and {scale_factor!r}"
            )
        for what, value, kinds, rule in (
            ("size", size, (int,), "whole numbers of at least 1"),
            ("scale_factor", scale_factor, (int, float), "finite numbers above 0"),
        ):
            entries = value if isinstance(value, Sequence) else () if value is None else (value,)
            if not all(type(entry) in kinds and 0 < entry < float("inf") for entry in entries):
                raise ArgumentError(f"{name}: {what} must be one or several {rule}, got {shown(value)}")
        self.size = tuple(size) if isinstance(size, Sequence) else size
        self.scale_factor = tuple(scale_factor) if isinstance(scale_factor, Sequence) else scale_factor

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[torch.Size, Plan]]:
        require_floating(self, x)
        shape = x.shape
        plan = self._plan(shape)
        sizes, options = plan[1], plan[2:]
        require_room(self, "y", (shape[0], shape[1], *sizes), x, "lower size or scale_factor")
        if not x.numel():
            return x.new_empty(*shape[:2], *sizes), (shape, plan)
        up, _ = KERNELS[self.mode, x.dim() - 2]
        return up(x, sizes, *options), (shape, plan)

    def backward(self, d_y: Tensor, saved: tuple[torch.Size, Plan]) -> Tensor | None:
        require_saved(self, saved, torch.Size, tuple)
        shape, plan = saved
        require_own(self, "mode, size and options", self._plan(shape), plan)
        sizes, options = plan[1], plan[2:]
        require_upstream(self, d_y, (*shape[:2], *sizes))
        if not self.input_grad:
            return None
        if not d_y.numel():
            return d_y.new_zeros(shape)
        _, back = KERNELS[self.mode, len(shape) - 2]
        return back(d_y, sizes, shape, *options)

    tangent, backward_tangent = LINEAR

    def _plan(self, shape: torch.Size) -> Plan:
        """Mode, sizes of y, and what else the kernels are told: align_corners where it counts, and the factors."""
        axes = [count for mode, count in KERNELS if mode == self.mode]
        if len(shape) - 2 not in axes or 0 in shape[1:]:
            counts = " or ".join(map(str, axes))
            raise ShapeError(
                f"{type(self).__name__}: x must be (batch, channels, ...) with {counts} sizes in mode {self.mode!r}, "
                f"none of them 0, got {tuple(shape)}"
            )
        corners = () if self.mode.startswith("nearest") else (bool(self.align_corners),)
        if self.size is not None:
            sizes = self._each("size", self.size, shape)
            return self.mode, sizes, *corners, *(None,) * len(sizes)
        factors = self._each("scale_factor", self.scale_factor, shape)
        sizes = tuple([int(size * factor) for size, factor in zip(shape[2:], factors, strict=True)])
        if 0 in sizes:
            raise ShapeError(
                f"{type(self).__name__}: x must have sizes of at least 1 after scale_factor {self.scale_factor}, "
                f"got {tuple(shape)}"
            )
        return self.mode, sizes, *corners, *((None,) * len(sizes) if self.recompute_scale_factor else factors)

    def _each(self, name: str, value: Any, shape: torch.Size) -> tuple[Any, ...]:
        """A number for each size of x; a single one stands for all. Raises ShapeError for another number of them."""
        count = len(shape) - 2
        if not isinstance(value, tuple):
            return (value,) * count
        if len(value) != count:
            raise ShapeError(
                f"{type(self).__name__}: x must be (batch, channels, ...) with {len(value)} sizes, as {name} "
                f"{value} has, got {tuple(shape)}"
            )
        return value


class Upsample(_Resampled):
    """Give an image, a line or a volume another size by interpolation.

    Forward:   y[t] = sum of w[t, s] * x[s], along each axis. The place of t in x is p = (t + 0.5) / factor - 0.5, with
               align_corners t * (size - 1) / (size_of_y - 1); factor = scale_factor, or size_of_y / size where size
               or recompute_scale_factor is given.
               nearest: w is 1 at s = floor(t / factor);  nearest-exact: at s = floor((t + 0.5) / factor);
               linear, bilinear, trilinear: 1 - |p - s| at the two s around p, p being 0 at least;
               bicubic: Keys' cubic of p - s with a = -0.75 at the four s around p; beyond the border stands its value
    Backward:  d_x[s] = sum of w[t, s] * d_y[t] over the t that use x[s]
    Kernel:    aten.upsample_nearest2d, aten.upsample_nearest2d_backward and their kin, by mode and number of sizes
    Shapes:    x: (batch, channels, ...) with 3 sizes for trilinear, 2 for bilinear and bicubic, 1 for linear, 1 to 3
               for nearest and nearest-exact;  y: with `size`, or with each size times scale_factor, rounded down
    Raises:    ShapeError for other axes, a size that becomes 0, or if d_y has not the shape of y;
               DtypeError for integers;  ArgumentError unless one of size and scale_factor is given, for numbers that
               are not above 0, align_corners without interpolation, and recompute_scale_factor beside size, or for a y
               that has no room in memory
    Source:    Keys 1981, "Cubic convolution interpolation for digital image processing", for bicubic

    Example:
        >>> Upsample(scale_factor=2, mode="linear", align_corners=False)(torch.tensor([[[0.0, 4.0]]]))
        tensor([[[0., 1., 3., 4.]]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"scale_factor": 1.5, "mode": "bilinear"},
        "inputs": [(2, 3, 2, 3)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        require_choice(self, "mode", mode, MODES)
        given = {"align_corners": align_corners, "recompute_scale_factor": recompute_scale_factor}
        require_flags(self, **{name: flag for name, flag in given.items() if flag is not None})
        self._set_size(size, scale_factor)
        if align_corners is not None and mode.startswith("nearest"):
            raise ArgumentError(
                f"Upsample: align_corners must be None in mode {mode!r}, which does not interpolate, "
                f"got {shown(align_corners)}"
            )
        if recompute_scale_factor and size is not None:
            raise ArgumentError("Upsample: recompute_scale_factor must be None or False where size is given, got True")
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor


class UpsamplingNearest2d(_Resampled):
    """Give an image another size by taking the nearest pixel: Upsample in mode "nearest".

    Forward:   y[t] = x[floor(t / factor)] along each axis; factor = scale_factor, or size_of_y / size
    Backward:  d_x[s] = sum of d_y[t] over the t that took x[s]
    Kernel:    aten.upsample_nearest2d_backward
    Shapes:    x: (batch, channels, height, width);  y: the same with `size`, or with each size times scale_factor
    Raises:    ShapeError for other axes, a size that becomes 0, or if d_y has not the shape of y;  DtypeError for
               integers;  ArgumentError unless one of size and scale_factor is given, or for numbers that are not
               above 0, or for a y that has no room in memory
    Source:    torch.nn.UpsamplingNearest2d, whose definition it follows; the method: Gonzalez and Woods 2018, "Digital
               Image Processing", section 2.4

    Example:
        >>> UpsamplingNearest2d(size=(1, 4))(torch.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1., 1., 2., 2.]]]])
    """

    mode = "nearest"
    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"scale_factor": 2},
        "inputs": [(2, 3, 2, 3)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        self._set_size(size, scale_factor)


class UpsamplingBilinear2d(_Resampled):
    """Give an image another size by linear interpolation along both axes, with the corners kept.

    Forward:   y[t] = sum of w[t, s] * x[s] along each axis with w = 1 - |p - s| at the two s around
               p = t * (size - 1) / (size_of_y - 1): Upsample in mode "bilinear" with align_corners
    Backward:  d_x[s] = sum of w[t, s] * d_y[t] over the t that use x[s]
    Kernel:    aten.upsample_bilinear2d_backward
    Shapes:    x: (batch, channels, height, width);  y: the same with `size`, or with each size times scale_factor
    Raises:    ShapeError for other axes, a size that becomes 0, or if d_y has not the shape of y;  DtypeError for
               integers;  ArgumentError unless one of size and scale_factor is given, or for numbers that are not
               above 0, or for a y that has no room in memory
    Source:    torch.nn.UpsamplingBilinear2d, whose definition it follows; the method: Gonzalez and Woods 2018,
               "Digital Image Processing", section 2.4

    Example:
        >>> UpsamplingBilinear2d(size=(1, 3))(torch.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1.0000, 1.5000, 2.0000]]]])
    """

    mode = "bilinear"
    align_corners = True
    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"scale_factor": 2},
        "inputs": [(2, 3, 2, 3)],
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        self._set_size(size, scale_factor)
