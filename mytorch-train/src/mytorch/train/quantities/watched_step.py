"""A training step that shows its gradients to quantities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, Quantity
from mytorch.train.around_step import AroundStep
from mytorch.train.batches import count_rows
from mytorch.train.mean_loss import Weight
from mytorch.train.quantities.axes import KnownAxes
from mytorch.train.quantities.curvature import show_drawn
from mytorch.train.quantities.watch import watching


class WatchedStep(AroundStep):
    """Takes the step that `plain` takes, and shows the quantities what they ask for while its backward runs.

    plain: `step` or `step_in_backward`, with their options.
    """

    def __init__(self, plain: Callable[..., Any], quantities: Sequence[Quantity]) -> None:
        self.plain, self.quantities = plain, list(quantities)
        self._known = KnownAxes()

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError, before anything changes, for what a quantity cannot be told of."""
        wanted = any(each.per_sample or each.drawn for each in self.quantities)
        axes = self._known.of(net, loss, inputs, targets) if wanted else None
        seeing = [each for each in self.quantities if not each.drawn]
        if axes is not None and len(seeing) < len(self.quantities):
            show_drawn(net, loss, inputs, targets, axes, [each for each in self.quantities if each.drawn])
        if not any(each.per_sample for each in seeing):
            axes = None
        with watching(net, loss, seeing, axes, count_rows(inputs if targets is None else targets)):
            result: tuple[Tensor, Weight] = self.plain(net, loss, optimizer, inputs, targets)
        return result


def quantities_of(take_step: Any) -> list[Quantity]:
    """What a step shows its gradients to."""
    found: list[Quantity] = getattr(take_step, "quantities", [])
    return found
