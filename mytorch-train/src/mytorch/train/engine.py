"""What takes the training steps of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from torch import Tensor

from mytorch.train.mean_loss import Weight
from mytorch.train.setup import Setup
from mytorch.train.subnormal_numbers import SubnormalNumbersAsZero

Taken = Generator[tuple[Tensor, Weight], None, None]
"""The loss and the weight of each batch, in order."""


class Engine(Protocol):
    """Takes the steps of an epoch and moves a schedule on that counts batches."""

    def steps(self, setup: Setup, promptly: bool = False, done: int = 0, planned: int = 0) -> Taken:
        """Train on every batch once. The loss and the weight of each, in order.

        done, planned: the steps that the run has taken before, and all that it is to take.

        When it ends, is closed or raises, the model holds what was trained so far; between two losses of an epoch
        only with `promptly`.
        """

    def bring_up_to_date(self) -> bool:
        """Give the model what was trained up to the last loss; False if more was trained, or a batch drawn, already.

        So a checkpoint can be taken between some losses of an epoch: always of the eager engine, and after each call
        of a compiled step.
        """

    def state_dict(self) -> dict[str, Any]:
        """What decides how the steps to come are taken."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the steps to come as the engine would have that gave this state."""

    def notes(self) -> dict[str, Any]:
        """What the summary of a run is to say of how its steps were taken."""

    def close(self) -> None:
        """Let go of what the engine needs while it trains: the training has ended, or failed."""


class Eager:
    """Layer by layer, as the formulas stand.

    before: called before each step, with the setup, the inputs and the targets that the step is about to take: to look
        at them, or to hold the training for a while, as a page does that shows it. What it raises ends the training.
    """

    def __init__(self, before: Callable[[Setup, Any, Any], object] | None = None) -> None:
        self._before = before

    def steps(self, setup: Setup, promptly: bool = False, done: int = 0, planned: int = 0) -> Taken:  # noqa: ARG002
        """One step a batch."""
        net, loss, optimizer, step, before = setup.net, setup.loss, setup.optimizer, setup.step, self._before
        at_full_speed = SubnormalNumbersAsZero()
        for inputs, targets in setup.batches:
            if before is not None:
                before(setup, inputs, targets)
            with at_full_speed:
                result = step(net, loss, optimizer, inputs, targets)
            setup.advance("batch")
            yield result

    def bring_up_to_date(self) -> bool:
        """It always is."""
        return True

    def state_dict(self) -> dict[str, Any]:
        """Nothing: each step is like the others."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def notes(self) -> dict[str, Any]:
        """Nothing: each step is like the others."""
        return {}

    def close(self) -> None:
        """Nothing to do."""
