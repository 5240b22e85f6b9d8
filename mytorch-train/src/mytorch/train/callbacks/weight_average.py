"""What averages of weights have in common: they are judged and kept in place of the weights that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import ArgumentError, Buffer, Parameter
from mytorch.plugins import Callback
from mytorch.train.averaged_weights import AveragedWeights

if TYPE_CHECKING:
    from mytorch.train.training import Training


class WeightAverage(Callback):
    """Base of the callbacks that average weights: a subclass says when an update is due.

    While a run judges the model and tells of the end of an epoch, the net has the averaged weights; then training goes
    on with its own. When the run ends, in whatever way but by a value that is not finite, the net keeps the average.
    """

    must_succeed = True

    def __init__(self, decay: float | None, use_buffers: bool) -> None:
        self.decay, self.use_buffers = decay, use_buffers
        self.weights: AveragedWeights | None = None

    def training_started(self, run: Training) -> None:
        """Begin anew. Raises ArgumentError beside another average."""
        if run.average is not None:
            raise ArgumentError(
                f"{type(self).__name__}: must be the only average of weights in a run, "
                f"got {type(run.average).__name__} beside it"
            )
        run.average = self
        self.weights = AveragedWeights(run.net, self.decay, self.use_buffers)

    @property
    def averages(self) -> list[tuple[Parameter | Buffer, Tensor]]:
        """Each parameter or buffer with its average."""
        return [] if self.weights is None else self.weights.averages

    def state_dict(self) -> dict[str, Any]:
        """The average so far."""
        return {"weights": None if self.weights is None else self.weights.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from an average."""
        if self.weights is not None and state["weights"] is not None:
            self.weights.load_state_dict(state["weights"])

    def update(self) -> None:
        """Take the weights of now into the average."""
        if self.weights is not None:
            self.weights.update()

    @contextmanager
    def in_place(self, run: Training) -> Iterator[None]:
        """Within this context the net has what is judged."""
        if self.weights is None:
            yield
            return
        with self.weights.in_place():
            if self.weights.count:
                self.prepare(run)
            yield

    def prepare(self, run: Training) -> None:
        """Complete the net, which has the averaged weights, before it is judged; a subclass may override this."""

    def keep(self, run: Training) -> None:
        """Give the net the average for good, and say so in the run's notes."""
        if self.weights is not None and self.weights.count:
            self.weights.give()
            run.notes["average"] = {"of": type(self).__name__, "updates": self.weights.count}
        self.weights = None
