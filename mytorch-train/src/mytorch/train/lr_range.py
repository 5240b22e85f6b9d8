"""The learning-rate range test: how the loss goes while the rate rises from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from mytorch.core import ArgumentError, Module, Optimizer
from mytorch.core.batch import Batch
from mytorch.plugins import shown
from mytorch.train.choose_step import choose_step
from mytorch.train.fit import batches_of
from mytorch.train.rules.rule_step import prepare_rule
from mytorch.train.setup import Setup
from mytorch.train.snapshot import Snapshot

START, END, STEPS = 1e-6, 10.0, 100
SMOOTHING = 0.9
"""How much of the smoothed loss stays at each step."""
MARGIN = 10
"""By how much a suggested rate is below the one from which on training diverges, at least."""
WINDOW = 0.07
"""To either side, the share of the steps through whose losses a line is laid: single batches say little."""


@dataclass(frozen=True)
class LRRange:
    """The result of a range test: a learning rate for each step, and the loss of the step's batch before the update.

    smoothed: the exponentially weighted mean of the losses so far, s = 0.9 s + 0.1 loss, divided by 1 - 0.9^steps.
    stopped: whether it ended early, because the loss rose far above its best or was not finite.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    stopped: bool

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls most steeply over the logarithm of the rate, but at most a tenth of the one
        at which the smoothed loss is lowest, since from there on training diverges; None if the loss nowhere falls.

        The slope at a rate is that of a line through the losses around it, by least squares.
        """
        count = len(self.rates)
        side = max(2, round(WINDOW * count))
        lowest = min(range(count), key=self.smoothed.__getitem__, default=0)
        slopes = {at: self._slope(at, side) for at in range(side, min(lowest, count - side - 1) + 1)}
        steepest = min(slopes, key=slopes.__getitem__, default=None)
        if steepest is None or slopes[steepest] >= 0:
            return None
        return min(self.rates[steepest], self.rates[lowest] / MARGIN)

    def _slope(self, at: int, side: int) -> float:
        """The slope of the losses around a step, up to a factor, since the logarithms of rates are evenly spaced."""
        return sum(offset * self.losses[at + offset] for offset in range(-side, side + 1))


def lr_range_test(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    data: Any,
    *,
    batch_size: int | None = None,
    start: float = START,
    end: float = END,
    steps: int = STEPS,
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    step: Callable[..., Any] | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    accumulate: int = 1,
    precision: str | None = None,
) -> LRRange:
    """Train for some steps while the learning rate rises from `start` to `end`, and restore everything afterwards.

    The rate is multiplied by the same factor at each step; the rates of other groups rise in proportion. The test ends
    early when the smoothed loss has risen far above its best, or is not finite. Afterwards weights, buffers, the
    optimizer's state and settings, modes and the random state are as before. The other arguments are those of `fit`.
    Raises ArgumentError for rates or steps out of range, and for an optimizer without a learning rate.
    Source:   Smith 2017, "Cyclical learning rates for training neural networks", section 3.3; the suggestion as
              fastai's and Lightning's

    Example:
        >>> import torch
        >>> from mytorch.data import TensorDataSet
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import lr_range_test
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(200, 3)
        >>> net, data = Linear(3, 1), TensorDataSet(x, x.sum(1, keepdim=True))
        >>> found = lr_range_test(net, MSELoss(), SGD(net.param(), lr=0.1), data, batch_size=20)
        >>> 0.01 < found.suggestion < 1
        True
    """
    batches = batches_of(data, batch_size, shuffle, drop_last, seed, accumulate)
    options: dict[str, Any] = {"clip_grad_value": clip_grad_value, "accumulate": accumulate, "precision": precision}
    take_step = choose_step(optimizer, clip_grad_norm, False, step, **options)
    return range_of(Setup(net, loss, optimizer, batches, None, take_step), start, end, steps)


def range_of(setup: Setup, start: float = START, end: float = END, steps: int = STEPS) -> LRRange:
    """The range test of what is trained, whose schedule has no part in it. Raises as `lr_range_test`."""
    _require_range(setup, start, end, steps)
    groups = setup.optimizer.param_groups
    first = float(groups[0]["lr"])
    shares = [float(group["lr"]) / first if first else 1.0 for group in groups]
    found = LRRange([], [], [], False)
    mean = best = 0.0
    with _put_back(setup), setup.storing(), torch.inference_mode():
        for number, (inputs, targets) in enumerate(islice(_over_and_over(setup), steps)):
            rate = start * (end / start) ** (number / (steps - 1))
            for group, share in zip(groups, shares, strict=True):
                group["lr"] = rate * share
            value, weight = setup.take_step(inputs, targets)
            if weight == 0:
                continue
            mean = SMOOTHING * mean + (1 - SMOOTHING) * value.item()
            smoothed = mean / (1 - SMOOTHING ** (len(found.rates) + 1))
            best = min(best, smoothed) if found.rates else smoothed
            scale = max(abs(best), found.smoothed[0] - best) if found.rates else math.inf
            if not math.isfinite(smoothed) or smoothed - best > 3 * scale:
                return LRRange(found.rates, found.losses, found.smoothed, True)
            found.rates.append(rate)
            found.losses.append(value.item())
            found.smoothed.append(smoothed)
    return found


def _require_range(setup: Setup, start: Any, end: Any, steps: Any) -> None:
    numbers = all(type(rate) in (int, float) and math.isfinite(rate) for rate in (start, end))
    if not numbers or not 0 < start < end:
        raise ArgumentError(
            f"lr_range_test: start and end must be rates above 0, end the larger one, got {shown(start)} and {end!r}"
        )
    if type(steps) is not int or steps < 10:
        raise ArgumentError(f"lr_range_test: steps must be a whole number of at least 10, got {shown(steps)}")
    optimizer = setup.optimizer
    if any("lr" not in group for group in optimizer.param_groups):
        raise ArgumentError(f"lr_range_test: optimizer must have a setting lr, got {type(optimizer).__name__}")
    if not len(setup.batches):
        raise ArgumentError("lr_range_test: data must have at least one batch, got none")


def _over_and_over(setup: Setup) -> Iterator[Batch]:
    while True:
        yield from setup.batches


@contextmanager
def _put_back(setup: Setup) -> Iterator[None]:
    """Within this context the net is in training mode; after it, everything is as it was before."""
    net, snapshot = setup.net, Snapshot(setup)
    modes, input_grad = [(module, module.training) for module in net.modules()], net.input_grad
    order = setup.batches.generator.get_state()
    prepare_rule(setup.step, net, setup.loss, setup.optimizer)
    snapshot.take()
    try:
        net.train()
        net.zero_grad()
        net.input_grad = False
        yield
    finally:
        snapshot.restore()
        net.zero_grad()
        net.input_grad = input_grad
        setup.batches.generator.set_state(order)
        for module, training in modes:
            module.training = training
