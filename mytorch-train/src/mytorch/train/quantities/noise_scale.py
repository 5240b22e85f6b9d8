"""Which batch size a data set and a net ask for, by the noise of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, GradientSeen, Module, Quantity, fetch, require_seed
from mytorch.core.batch import Batch, rows_within
from mytorch.plugins import shown
from mytorch.train.device import device_of, move
from mytorch.train.evaluation import judging
from mytorch.train.quantities.watch import watch_gradients
from mytorch.train.unchanged import unchanged

GROUPS = 32
"""Into how many batches the rows are divided, each of which is left out once."""
FEWEST = 16
"""Rows from which a variance, and the error of an estimate, can be told."""
ROWS = 2048


@dataclass(frozen=True)
class NoiseScale:
    """The gradient noise scale, in rows: a batch of this size has as much noise in its gradient as signal.

    scale: infinite if no signal was found above the noise.
    low, high: its 95 % confidence interval, of which the upper end may be infinite.
    rows: how many it was measured on.

    A training that reaches some loss with the fewest steps, in very large batches, and one that reaches it with the
    fewest samples, in very small ones, are the two ends between which a batch size lies:

        steps(batch_size)   = 1 + scale / batch_size   times the fewest steps
        samples(batch_size) = 1 + batch_size / scale   times the fewest samples

    Source:   McCandlish et al. 2018, "An empirical model of large-batch training", section 2.2
    """

    scale: float
    low: float
    high: float
    rows: int

    def steps(self, batch_size: float) -> float:
        """How many times the fewest steps a training with this batch size takes."""
        return 1 + self.scale / batch_size

    def samples(self, batch_size: float) -> float:
        """How many times the fewest samples a training with this batch size takes."""
        return math.inf if self.scale == 0 else 1 + batch_size / self.scale


def measure_noise(net: Module, loss: Module, data: Any, *, rows: int = ROWS, seed: int = 0) -> NoiseScale:
    """The gradient noise scale of a data set at the weights that the net has, with its uncertainty.

    With the gradients g_n of M rows drawn at random, and their mean G:

        variance = sum over n of |g_n - G|^2 / (M - 1)
        signal   = |G|^2 - variance / M
        scale    = variance / signal

    The error of signal / variance is estimated by leaving out each of 32 batches in turn (jackknife). Two forward and
    backward passes of the rows, in evaluation mode: layers that draw random numbers, and the statistics of a batch,
    add no noise. Net and loss are afterwards as before.

    rows: so many are drawn, or all, if there are fewer.  seed: decides which.
    Raises ArgumentError for fewer than 16 rows, and as `sample_norms` does.
    Source:   McCandlish et al. 2018, "An empirical model of large-batch training", appendix A

    Example:
        >>> import torch
        >>> from mytorch.data import TensorDataSet
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import measure_noise
        >>> x = torch.randn(500, 2)
        >>> noise = measure_noise(Linear(2, 1), MSELoss(), TensorDataSet(x, x.sum(1, keepdim=True)))
        >>> noise.low <= noise.scale <= noise.high
        True
    """
    if type(rows) is not int or rows < FEWEST:
        raise ArgumentError(f"measure_noise: rows must be a whole number of at least {FEWEST}, got {shown(rows)}")
    require_seed("measure_noise", seed)
    data = getattr(data, "plain", data)
    if len(data) < FEWEST:
        raise ArgumentError(f"measure_noise: data must have at least {FEWEST} rows, got {len(data)}")
    drawn = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:rows]
    size = max(2, min(len(drawn) // GROUPS, rows_within(data, ROWS)))
    drawn = drawn[: len(drawn) // size * size]
    sums = _Sums()
    with judging(net):
        _show(net, loss, _batches(data, drawn, size, device_of(net)), sums)
        along = _Along(sums.total)
        _show(net, loss, _batches(data, drawn, size, device_of(net)), along)
    squares, norms, found = (
        torch.tensor(each, dtype=torch.float64) for each in (sums.squares, sums.norms, along.found)
    )
    return _estimate(squares, norms, found, size)


def _estimate(squares: Tensor, norms: Tensor, along: Tensor, size: int) -> NoiseScale:
    """The scale of batches of `size` rows.

    squares: the sums of |g_n|^2.  norms: |G_b|^2 of the mean gradient of each batch.  along: G_b . sum over b of G_b.
    """
    count = len(squares)
    whole = along.sum()
    snr = _snr(squares.sum(), whole / count**2, count * size)
    left_out = _snr(squares.sum() - squares, (whole - 2 * along + norms) / (count - 1) ** 2, (count - 1) * size)
    error = ((count - 1) / count * (left_out - left_out.mean()).square().sum()).sqrt()
    if snr.isinf():
        error = torch.zeros_like(error)
    scale, low, high = (1 / float(each) if each > 0 else math.inf for each in (snr, snr + 2 * error, snr - 2 * error))
    return NoiseScale(scale, low, high, count * size)


def _snr(squares: Tensor, of_mean: Tensor, rows: int) -> Tensor:
    """signal / variance, from sum |g_n|^2 and |G|^2; infinite where all gradients are equal."""
    variance = ((squares - rows * of_mean) / (rows - 1)).clamp(min=0)  # below 0 by rounding alone
    return (of_mean - variance / rows) / variance


def _batches(data: Any, drawn: Tensor, size: int, device: torch.device) -> Iterator[Batch]:
    for indices in drawn.split(size):
        yield move(fetch(data, indices), device)


def _show(net: Module, loss: Module, batches: Iterator[Batch], quantity: Quantity) -> None:
    for batch in batches:
        with unchanged(net, loss):
            watch_gradients(net, loss, *batch, [quantity])


class _Sums(Quantity):
    """The sum of the mean gradients of batches, and their squares with those of single samples."""

    per_sample = True

    def __init__(self) -> None:
        self.total: dict[str, Tensor] = {}
        self.squares: list[float] = []
        self.norms: list[float] = []
        self._now: list[tuple[Tensor, Tensor]] = []

    def begin(self, net: Module) -> None:  # noqa: ARG002
        self._now = []

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None
        self._now.append((seen.samples.squared_norms().sum().double(), seen.mean.square().sum().double()))
        if seen.name in self.total:
            self.total[seen.name].add_(seen.mean)
        else:
            self.total[seen.name] = seen.mean.clone()

    def end(self, net: Module, rows: int) -> None:  # noqa: ARG002
        squares, norms = (float(torch.stack(each).sum()) for each in zip(*self._now, strict=True))
        self.squares.append(squares)
        self.norms.append(norms)


class _Along(Quantity):
    """The inner product of the mean gradient of each batch with a gradient."""

    def __init__(self, other: dict[str, Tensor]) -> None:
        self.other = other
        self.found: list[float] = []
        self._now: list[Tensor] = []

    def begin(self, net: Module) -> None:  # noqa: ARG002
        self._now = []

    def gradient(self, seen: GradientSeen) -> None:
        self._now.append((seen.mean * self.other[seen.name]).sum().double())

    def end(self, net: Module, rows: int) -> None:  # noqa: ARG002
        self.found.append(float(torch.stack(self._now).sum()))
