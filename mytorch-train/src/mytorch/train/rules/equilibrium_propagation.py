"""Equilibrium propagation: the outputs are nudged towards the targets, and the states settle anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Module, Rule, require_range, require_whole
from mytorch.train.fixed import fixed
from mytorch.train.gradients import loss_gradient
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.rules.chain import SMALL, blocks_of, require_fixed, require_tensor
from mytorch.train.rules.relax import forward, settle


class EquilibriumPropagation(Rule):
    """Compare the activities that settle freely with those that settle while the output is nudged towards the target.

    Formula:  states s_i of the outputs of all blocks f_i, s_0 the input
              energy E = sum of || s_i - f_i(s_(i-1)) ||^2 / 2
              free phase: the lowest E, which is s_i = f_i(s_(i-1)), the prediction of the network, where E = 0
              nudged phase: the lowest E + nudge * C(s_n), where C is the loss, summed over the batch, by `steps` steps
              of gradient descent: s_i = s_i - rate * (e_i - J_(i+1)^T e_(i+1)), e_i = s_i - f_i(s_(i-1)), and for the
              last s_n = s_n - rate * (e_n + nudge * dC/ds_n)
              gradient = (dE/dweights at the nudged states - dE/dweights at the free ones) / nudge, divided as the loss
              divides; the second is 0 with this energy
    Limit:    with a smaller nudge, the gradients come closer to those of backpropagation, if the states have settled
    Trains:   a Sequential, with any loss of one prediction. A block begins with each layer that has parameters, and
              goes on to the next. ArgumentError for branches, and, at the first batch, for layers such as dropout and
              batch norm that differ between training and evaluation: blocks compute several times in a step

    The paper's rule works with any energy. The free states of this one are those of a forward pass, so the trained
    network predicts like any other. The paper's own networks have the energy of a Hopfield network with symmetric
    weights, and must settle to predict, which a Sequential does not. A step takes about `steps` times as long as one
    of backpropagation.

    The gradient follows from the difference between nudged and free states: in float32, errors below about
    1e-7 / nudge are lost in rounding.

    nudge: how strongly the output is nudged;  steps, rate: the number of steps of gradient descent, and their size.
        The error needs one step for each block on its way down. If the energy is higher at the end than at the
        beginning, as with large weights, the descent begins again with half the rate.
    Source: Scellier and Bengio 2017, "Equilibrium propagation: bridging the gap between energy-based models and
        backpropagation"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import EquilibriumPropagation
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=EquilibriumPropagation(), **options)
        >>> len(training.history)
        2
    """

    transposes = True
    refuses: ClassVar[Mapping[str, str]] = {"precision": SMALL}

    def __init__(self, nudge: float = 0.01, steps: int = 20, rate: float = 0.1) -> None:
        require_range(self, "nudge", nudge, 1e-12)
        require_whole(self, "steps", steps, 1)
        require_range(self, "rate", rate, 0)
        self.nudge, self.steps, self.rate = nudge, steps, rate

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Find the blocks."""
        self._blocks = blocks_of(self, net)
        self._checked = False

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """The free phase, the nudged phase, and one backward of each block from its error."""
        x, blocks = require_tensor(self, "the input", inputs), self._blocks
        if not self._checked:
            require_fixed(self, blocks, x)
            self._checked = True
        states = forward(self, blocks, x)
        value, weight, _ = loss_gradient(loss, states[-1], targets)
        scale = 1.0 if sums(loss) else float(weight) or 1.0

        def push(output: Tensor) -> tuple[Tensor, Tensor]:
            cost, _, d_output = loss_gradient(loss, output, targets)
            return cost * (self.nudge * scale), d_output.pop() * (self.nudge * scale)

        with fixed(net.param()):
            states, errors = settle(blocks, states, push, self.steps, self.rate)
        for block, below, error in zip(blocks, [x, *states], errors, strict=False):
            block.learn(-error / (self.nudge * scale), block.forward(below)[1])
        return value, weight
