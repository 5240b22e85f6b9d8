"""What takes the training steps of an epoch."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Protocol

from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.plugins import nearest
from mytorch.train.mean_loss import Weight
from mytorch.train.setup import Setup

ENGINES = ("eager", "compiled")
Taken = Generator[tuple[Tensor, Weight], None, None]
"""The loss and the weight of each batch, in order."""


class Engine(Protocol):
    """Takes the steps of an epoch and moves a schedule on that counts batches."""

    def steps(self, setup: Setup, promptly: bool = False) -> Taken:
        """Train on every batch once. The loss and the weight of each, in order.

        When it ends, is closed or raises, the model holds what was trained so far; between two losses of an epoch
        only with `promptly`.
        """


class Eager:
    """Layer by layer, as the formulas stand."""

    def steps(self, setup: Setup, promptly: bool = False) -> Taken:  # noqa: ARG002 - each is prompt
        """One step a batch."""
        net, loss, optimizer, step = setup.net, setup.loss, setup.optimizer, setup.step
        for inputs, targets in setup.batches:
            result = step(net, loss, optimizer, inputs, targets)
            setup.advance("batch")
            yield result


def make_engine(name: str, quiet: bool = False) -> Engine:
    """The engine of a name; unless `quiet`, it says on stderr what takes long. Raises ArgumentError for no engine."""
    require_engine(name)
    if name == "eager":
        return Eager()
    from mytorch.train.compiled import Compiled  # tracing and compiling take long to import

    return Compiled(_nothing if quiet else say)


def require_engine(name: str) -> None:
    """Raise ArgumentError unless there is an engine of this name."""
    if name not in ENGINES:
        raise ArgumentError(
            f"engine: must be one of {', '.join(ENGINES)}, got {name!r}. {nearest(str(name), ENGINES)}"
        )


def say(line: str) -> None:
    """Tell the user what takes long."""
    print(f"compiled engine: {line}", file=sys.stderr)


def _nothing(_line: str) -> None:
    pass
