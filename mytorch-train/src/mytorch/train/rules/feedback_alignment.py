"""Feedback alignment: errors go back through fixed random matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Module, Rule, require_seed
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.feedback import Feedback


class FeedbackAlignment(Rule):
    """Send errors back through fixed random matrices in place of the transposed weights.

    Formula:  for a layer y = W x, backpropagation computes d_x = W^T d_y; the rule computes d_x = B^T d_y, where B has
              the shape of W, is drawn once and never changes. d_W = d_y x^T and the rest of the backward stay the same
    Drawn:    uniform between -bound and bound, with bound = sqrt(6 / (fan_in + fan_out)), as by `xavier_uniform`
    Trains:   any net. While the backward of a layer runs, each of its weights with two or more dimensions has the
              values of its matrix B. This holds for every layer: convolution, recurrent layers (also from step to
              step) and attention. Layers that share a weight share its matrix

    seed: the seed of the matrices.
    Source: Lillicrap et al. 2016, "Random synaptic feedback weights support error backpropagation for deep learning"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import FeedbackAlignment
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> rule = FeedbackAlignment()
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=rule, **options)
        >>> sorted(rule.state_dict()["feedback"])
        ['0.weight', '2.weight']
    """

    refuses: ClassVar[Mapping[str, str]] = {}

    def __init__(self, seed: int = 0) -> None:
        require_seed(self, seed)
        self.seed = seed

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Draw the matrices."""
        self._feedback = Feedback(net, self.seed)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Forward, and a backward whose errors go through the matrices."""
        return self._feedback.gradients(net, loss, inputs, targets)

    def state_dict(self) -> dict[str, Any]:
        """The matrices."""
        return {"feedback": self._feedback.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take other matrices."""
        self._feedback.load_state_dict(state["feedback"])
