"""Surrogate gradients: a unit that jumps goes back with the derivative of a smooth function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Module, Rule, require_range
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.jumps import jumps_of, replaced


class SurrogateGradient(Rule):
    """Backpropagate through units that jump with the derivative of a fast sigmoid in place of their own.

    Formula:  for y = jump(u), u the distance from the threshold: d_u = d_y / (1 + slope * |u|)^2
              The backward of all other layers is their own, and so is the rest of the backward of a layer that jumps,
              such as the leak and the reset of LIF from step to step
    Trains:   any net with layers that jump: Heaviside, Sign, LIF, and any other that has `jump_derivative`.
              ArgumentError for a net without one, which backpropagation trains

    slope: how fast the derivative falls with the distance; with slope 0 it is 1 everywhere, as in StraightThrough.
    Source: Neftci, Mostafa and Zenke 2019, "Surrogate gradient learning in spiking neural networks"; the function:
        Zenke and Ganguli 2018, "SuperSpike: supervised learning in multilayer spiking neural networks"

    Example:
        >>> import torch
        >>> from mytorch.nn import CrossEntropyLoss, LIF, Linear, MeanStep, Sequential
        >>> from mytorch.train.rules import SurrogateGradient
        >>> net, rule = Sequential(Linear(3, 8), LIF(), Linear(8, 2), MeanStep()), SurrogateGradient()
        >>> loss = CrossEntropyLoss()
        >>> rule.prepare(net, loss)
        >>> value, weight = rule.gradients(net, loss, torch.randn(5, 6, 3), torch.tensor([0, 1, 1, 0, 1]))
        >>> bool((net[0].weight.grad != 0).any())
        True
    """

    transposes = True
    refuses: ClassVar[Mapping[str, str]] = {}

    def __init__(self, slope: float = 10.0) -> None:
        require_range(self, "slope", slope, 0)
        self.slope = slope

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Look for the layers that jump."""
        self._jumps = jumps_of(self, net)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Forward, and a backward in which jumps have the derivative of a fast sigmoid."""
        with replaced(self._jumps, self._derivative):
            return gradients(net, loss, inputs, targets)

    def _derivative(self, distance: Tensor) -> Tensor:
        return distance.abs().mul_(self.slope).add_(1).square_().reciprocal_()
