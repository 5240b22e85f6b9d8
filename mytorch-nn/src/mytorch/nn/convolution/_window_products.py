"""The gradients of single samples of a convolution of images, without all windows at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mytorch.core import OuterProducts, SampleGradients, ShapeError

AT_ONCE = 2**22
"""How many numbers of windows and gradients are formed at once, beside those that are asked for."""


@dataclass(frozen=True)
class WindowProducts(SampleGradients):
    """Of a convolution: gradient[n, o, c, k, l] = sum over places i, j of d_y[n, o, i, j] * x[n, c, i + k, j + l].

    The windows of an image have kernel_size[0] * kernel_size[1] times its numbers. Here they are formed along its rows
    only, so that a row k of the kernel is one product with a stretch of them.

    d_y: (samples, out_channels, rows, columns);  x: (samples, in_channels, height, width), with its padding
    shape: that of the weight
    stride, dilation: steps from place to place, and from number to number of a window
    as_products: makes sums of outer products of them, for what needs all windows
    """

    d_y: Tensor
    x: Tensor
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    as_products: Callable[[], OuterProducts]
    scale: float = 1.0

    def each(self) -> Tensor:
        return self._in_place(torch.cat([part._by_rows() for part in self._parts()])).mul_(self.scale)

    def sizes(self) -> tuple[int, ...]:
        axes = zip(self.x.shape[2:], self.shape[2:], self.stride, self.dilation, strict=True)
        places = [(size - spread * (window - 1) - 1) // step + 1 for size, window, step, spread in axes]
        wanted = (len(self.x), self.shape[0], *places)
        if self.d_y.shape != wanted:
            raise ShapeError(f"WindowProducts: d_y must have the shape {wanted}, got {tuple(self.d_y.shape)}")
        return len(self.x), *self.shape

    def squared_norms(self) -> Tensor:
        norms = [torch.linalg.vector_norm(part._by_rows().flatten(1), dim=1) for part in self._parts()]
        return torch.cat(norms).square_().mul_(self.scale**2)

    def sum_of_squares(self) -> Tensor:
        squares = torch.stack([part._by_rows().square_().sum(0) for part in self._parts()]).sum(0)
        return self._in_place(squares.unsqueeze(0)).squeeze(0).mul_(self.scale**2)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """By the kernel that makes the gradient of the batch."""
        d_y, weight = self.d_y * weights.mul(self.scale).reshape(-1, 1, 1, 1), self.x.new_empty(self.shape)
        geometry = self.stride, (0, 0), self.dilation, False, (0, 0), 1
        found: Tensor = torch.ops.aten.convolution_backward(
            d_y, self.x, weight, None, *geometry, [False, True, False]
        )[1]
        return found

    def along(self, vector: Tensor) -> Tensor:
        """Of what the convolution makes of x with the vector as its weight."""
        y = torch.conv2d(self.x, vector, None, self.stride, 0, self.dilation)
        return (y * self.d_y).flatten(1).sum(1).mul_(self.scale)

    def outer_products(self) -> OuterProducts:
        return self.as_products().scaled(self.scale)

    def some(self, start: int, end: int) -> WindowProducts:
        return replace(
            self,
            d_y=self.d_y[start:end],
            x=self.x[start:end],
            as_products=lambda: self.as_products().some(start, end),
        )

    def scaled(self, factor: float) -> WindowProducts:
        return replace(self, scale=self.scale * factor)

    def _by_rows(self) -> Tensor:
        """The gradients, unscaled, with the rows of the kernel in front: (samples, k, c * l, o)."""
        height, width = self.shape[2:]
        (down, _), (between, spread) = self.stride, self.dilation
        wide = self.x.unfold(3, spread * (width - 1) + 1, self.stride[1])[..., ::spread]
        wide = wide.permute(0, 1, 4, 2, 3).flatten(1, 2)  # (samples, c * l, rows of x, columns)
        d_rows, span = self.d_y.flatten(2).mT, down * (self.d_y.shape[2] - 1) + 1
        starts = [between * row for row in range(height)]
        products: list[Tensor] = [wide[:, :, at : at + span : down].flatten(2) @ d_rows for at in starts]
        return torch.stack(products, 1)

    def _in_place(self, by_rows: Tensor) -> Tensor:
        """The same in the order of the weight's axes."""
        channels, width = self.shape[1], self.shape[3]
        by_axes: Tensor = by_rows.unflatten(2, (channels, width))
        return by_axes.permute(0, 4, 2, 1, 3).contiguous()

    def _parts(self) -> Iterator[WindowProducts]:
        """Some samples at a time."""
        numbers = self.x[:1].numel() * self.shape[3] + math.prod(self.shape)
        size = max(1, AT_ONCE // max(1, numbers))
        for start in range(0, max(1, len(self.x)), size):
            yield self.some(start, start + size)
