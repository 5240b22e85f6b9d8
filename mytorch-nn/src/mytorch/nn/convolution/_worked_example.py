"""One number that a convolution gives, with all that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

WIDTH, CHANNELS = 76, 4
"""Characters of a line, and channels whose sums are told."""


class Sizes(NamedTuple):
    """How a convolution lays its window; a number for each axis."""

    stride: Sequence[int]
    dilation: Sequence[int]
    groups: int


def worked_example(
    x: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor, sizes: Sizes, row: tuple[int, ...]
) -> tuple[str, ...]:
    """Lines about the largest number of y, of one row: the window it reads, the filter, and their product.

    x: (in_channels, ...), padded;  y: (out_channels, ...);  weight: (out_channels, in_channels / groups, ...)
    row: the place of the row in its batch; () without a batch
    """
    o, *t = (int(place) for place in torch.unravel_index(y.abs().argmax(), y.shape))
    window = _window(x, weight, o, t, sizes)
    products = window * weight[o]
    sums = products.flatten(1).sum(1)
    channel = int(sums.abs().argmax())
    place = ", ".join(map(str, (*row, o, *t)))
    lines = [f"y[{place}] = {f'bias[{o}] + ' if bias is not None else ''}sum of window * weight[{o}]"]
    if window.dim() <= 3:
        lines += _side_by_side(window[channel], weight[o, channel], products[channel], channel, len(sums))
    told = ", ".join(f"{number:.3g}" for number in sums[:CHANNELS].tolist())
    more = f" and {len(sums) - CHANNELS} more" if len(sums) > CHANNELS else ""
    if len(sums) > 1:
        lines.append(f"  by channel: {told}{more}")
    whole = float(sums.sum())
    end = f"{whole:.4g}" if bias is None else f"{float(bias[o]):.4g} + {whole:.4g} = {float(bias[o]) + whole:.4g}"
    return (*lines, f"  y[{place}] = {end}")


def _window(x: Tensor, weight: Tensor, o: int, t: Sequence[int], sizes: Sizes) -> Tensor:
    """What the filter of output o reads at place t."""
    channels, group = weight.shape[1], o * sizes.groups // weight.shape[0]
    window = x[group * channels : (group + 1) * channels]
    for axis, (place, size) in enumerate(zip(t, weight.shape[2:], strict=True), 1):
        start, spread = place * sizes.stride[axis - 1], sizes.dilation[axis - 1]
        window = window.narrow(axis, start, spread * (size - 1) + 1)
        window = window.index_select(axis, torch.arange(0, window.shape[axis], spread, device=x.device))
    return window


def _side_by_side(window: Tensor, weight: Tensor, products: Tensor, channel: int, channels: int) -> list[str]:
    """The window, the filter and their products, row by row; without the products, or none, if they are too wide."""
    columns = [_lines(each) for each in (window, weight, products)]
    signs = (" * ", " = ")
    for count in (3, 2):
        heads = ("window", "weight", "window * weight")[:count]
        widths = [max(len(head), *map(len, lines)) for head, lines in zip(heads, columns, strict=False)]
        if 2 + sum(widths) + 3 * (count - 1) <= WIDTH:
            rows = zip(*columns[:count], strict=True)
            told = [_joined(heads, widths, ("   ", "   ")), *(_joined(row, widths, signs) for row in rows)]
            of = f"  input channel {channel}, which adds most of {channels}:" if channels > 1 else ""
            return [*([of] if of else []), *told]
    return []


def _joined(parts: Sequence[str], widths: Sequence[int], signs: Sequence[str]) -> str:
    text = parts[0].ljust(widths[0])
    for part, width, sign in zip(parts[1:], widths[1:], signs, strict=False):
        text += sign + part.ljust(width)
    return f"  {text}".rstrip()


def _lines(matrix: Tensor) -> list[str]:
    """The rows of a matrix, or the only one, with numbers below each other."""
    rows = matrix.reshape(-1, matrix.shape[-1]).tolist()
    texts = [[f"{number + 0:.2g}" for number in row] for row in rows]
    width = max(len(text) for row in texts for text in row)
    return [f"[{' '.join(text.rjust(width) for text in row)}]" for row in texts]
