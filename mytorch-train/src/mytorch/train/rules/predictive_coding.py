"""Predictive coding: activities settle between predictions, and each block learns from its own error of prediction."""

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


class PredictiveCoding(Rule):
    """Let hidden activities settle until all prediction errors are small, and learn from the errors that remain.

    Formula:  states s_i of the outputs of the blocks f_i but the last, s_0 the input;  e_i = s_i - f_i(s_(i-1))
              F = sum of || e_i ||^2 / 2 + C(f_n(s_(n-1))) / variance, where C is the loss, summed over the batch
              `steps` steps of gradient descent on F by the states, from s_i = f_i(s_(i-1)):
              s_i = s_i - rate * (e_i - J_(i+1)^T e_(i+1)), for the last of them with the gradient of C / variance
              each block's gradient is that of variance * F, at these states, divided as the loss divides
    Limit:    with a larger variance, the gradients come closer to those of backpropagation, if the states have settled
    Trains:   a Sequential, with any loss of one prediction. A block begins with each layer that has parameters, and
              goes on to the next. ArgumentError for branches, and, at the first batch, for layers such as dropout and
              batch norm that differ between training and evaluation: blocks compute several times in a step

    The paper has squared errors, with the targets as the topmost states, which is C = || f_n - target ||^2 / 2. The
    backward of the layers carries the errors down. A step takes about `steps` times as long as one of backpropagation.

    Errors are differences between states and their predictions: in float32, errors below about 1e-7 * variance are
    lost in rounding.

    variance: the variance of the output, where that of the hidden states is 1;  steps, rate: the number of steps of
        gradient descent, and their size. The error needs one step for each block on its way down. If F is higher at
        the end than at the beginning, as with large weights, the descent begins again with half the rate.
    Source: Whittington and Bogacz 2017, "An approximation of the error backpropagation algorithm in a predictive
        coding network with local Hebbian synaptic plasticity"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import PredictiveCoding
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=PredictiveCoding(), **options)
        >>> len(training.history)
        2
    """

    transposes = True
    refuses: ClassVar[Mapping[str, str]] = {"precision": SMALL}

    def __init__(self, variance: float = 100.0, steps: int = 20, rate: float = 0.1) -> None:
        require_range(self, "variance", variance, 1e-12)
        require_whole(self, "steps", steps, 1)
        require_range(self, "rate", rate, 0)
        self.variance, self.steps, self.rate = variance, steps, rate

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Find the blocks."""
        self._blocks = blocks_of(self, net)
        self._checked = False

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Let the states settle, and run one backward of each block from its error."""
        x, (*hidden, last) = require_tensor(self, "the input", inputs), self._blocks
        if not self._checked:
            require_fixed(self, self._blocks, x)
            self._checked = True
        states = forward(self, hidden, x)
        prediction, _ = last.forward(states[-1] if hidden else x)
        value, weight, _ = loss_gradient(loss, require_tensor(self, "the prediction", prediction), targets)
        scale = 1.0 if sums(loss) else float(weight) or 1.0

        def push(topmost: Tensor) -> tuple[Tensor, Tensor]:
            prediction, saved = last.forward(topmost)
            cost, _, d_prediction = loss_gradient(loss, prediction, targets)
            return cost * (scale / self.variance), last.backward(d_prediction.pop(), saved) * (scale / self.variance)

        errors: list[Tensor] = []
        if hidden:
            with fixed(net.param()):
                states, errors = settle(hidden, states, push, self.steps, self.rate)
        below = [x, *states]
        for block, start, error in zip(hidden, below, errors, strict=False):
            block.learn(-error * (self.variance / scale), block.forward(start)[1])
        prediction, saved = last.forward(below[-1])
        last.learn(loss_gradient(loss, prediction, targets)[2].pop(), saved)
        return value, weight
