"""Sign-symmetric feedback: errors go back by the signs of the weights alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, Rule, require_seed
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.feedback import Feedback


class SignSymmetric(Rule):
    """Send errors back through matrices with the signs of the weights and fixed random magnitudes.

    Formula:  d_x = V^T d_y for a layer y = W x, with V = sign(W) * M, number by number; M is drawn once and never
              changes, and the signs follow the weights. d_W = d_y x^T and the rest of the backward stay the same. For
              a weight of 0, the sign is that of the zero
    Drawn:    M, the magnitudes of numbers between -bound and bound, with bound = sqrt(6 / (fan_in + fan_out))
    Trains:   any net, as FeedbackAlignment does

    The paper calls this rule frSF (fixed random-magnitude sign-concordant feedback).

    seed: the seed of the magnitudes.
    Source: Liao, Leibo and Poggio 2016, "How important is weight symmetry in backpropagation?"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import SignSymmetric
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=SignSymmetric(), **options)
        >>> len(training.history)
        2
    """

    transposes: ClassVar[bool] = True
    refuses: ClassVar[Mapping[str, str]] = {}

    def __init__(self, seed: int = 0) -> None:
        require_seed(self, seed)
        self.seed = seed

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Draw the magnitudes."""
        self._feedback = Feedback(net, self.seed)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Forward, and a backward whose errors go by the signs."""
        return self._feedback.gradients(net, loss, inputs, targets, torch.copysign)

    def state_dict(self) -> dict[str, Any]:
        """The magnitudes."""
        return {"feedback": self._feedback.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take other magnitudes."""
        self._feedback.load_state_dict(state["feedback"])
