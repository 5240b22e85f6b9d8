"""The straight-through estimator: a unit that jumps goes back as if it were the identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, Rule
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.jumps import jumps_of, replaced


class StraightThrough(Rule):
    """Backpropagate through units that jump as if each of them were the identity.

    Formula:  for y = jump(x), whose derivative is 0: d_x = d_y; the backward of all other layers is their own
    Trains:   any net with layers that jump: Heaviside, Sign, LIF, and any other that has `jump_derivative`.
              ArgumentError for a net without one, which backpropagation trains

    The paper's estimator of the gradient through stochastic and hard binary units, without the variant that multiplies
    by the derivative of a sigmoid (`SurrogateGradient` has such a factor).

    Source: Bengio, Léonard and Courville 2013, "Estimating or propagating gradients through stochastic neurons for
        conditional computation"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, Sequential, Sign
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import StraightThrough
        >>> net = Sequential(Linear(2, 8), Sign(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=StraightThrough(), **options)
        >>> len(training.history)
        2
    """

    transposes = True
    refuses: ClassVar[Mapping[str, str]] = {}

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Look for the layers that jump."""
        self._jumps = jumps_of(self, net)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Forward, and a backward in which jumps are the identity."""
        with replaced(self._jumps, torch.ones_like):
            return gradients(net, loss, inputs, targets)
