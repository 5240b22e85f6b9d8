"""Synthetic gradients: each block learns from a model of the gradient that would come."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, Rule, require_range
from mytorch.train.gradients import loss_gradient
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.affine import Affine, Affines
from mytorch.train.rules.chain import blocks_of, require_tensor, rows_of


class SyntheticGradients(Rule):
    """Update each block by a gradient that a linear model predicts from the block's output and the targets.

    Formula:  h_i = block_i(h_(i-1));  g_i = (M_i [h_i, target] + m_i) / rows, which stands for dL/dh_i; the last block
              has dL/dh_n itself;  a target that is a class is 1 in its place and 0 elsewhere
              block_i goes back with g_i, which gives t_(i-1), a guess of dL/dh_(i-1) that is better by one block
              M_i learns from || rows * (g_i - t_i) ||^2 / (2 * rows)
    Models:   of all numbers of a row; 0 at first, so that a block waits until its model has learned; SGD with `lr`
    Trains:   a Sequential, with any loss of one prediction. A block begins with each layer that has parameters, and
              goes on to the next. In a layer that holds layers, such as Residual, g_i goes back by their own backward.
              ArgumentError for any other net

    So a block could be updated as soon as it has computed its output, in a process of its own; here all blocks are
    updated in one step. The factor `rows` makes what the models learn independent of the size of the batch. The paper
    calls models that get the targets cDNI; it also has models with hidden layers. The models diverge if `lr` is too
    large for the size of the activities, and then the gradient is no longer finite.

    lr: the learning rate of the models.
    Source: Jaderberg et al. 2017, "Decoupled neural interfaces using synthetic gradients"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import SyntheticGradients
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> rule = SyntheticGradients(lr=0.1)
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=rule, **options)
        >>> [model["weight"].shape for model in rule.state_dict()["models"]]
        [torch.Size([8, 10])]
    """

    transposes = True  # a model learns from what the block above sent back, by its weights
    refuses: ClassVar[Mapping[str, str]] = {
        "float16-mixed": "which scales the loss, from which the rule also teaches its models"
    }

    def __init__(self, lr: float = 0.03) -> None:
        require_range(self, "lr", lr, 0)
        self.lr = lr

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Find the blocks; the models are made when the first batch shows what they read."""
        self._blocks = blocks_of(self, net, whole=True)
        self._models = Affines("SyntheticGradients: models", len(self._blocks) - 1, net)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:  # noqa: ARG002
        """A forward of all blocks, a backward of each from the gradient of its model, and a lesson for the models."""
        x, flights = require_tensor(self, "the input", inputs), []
        for block in self._blocks:
            x, saved = block.forward(x)
            flights.append((require_tensor(self, f"the output of {block}", x), saved))
        value, weight, d_prediction = loss_gradient(loss, x, targets)
        told = _told(x, targets)
        outputs = [rows_of(h) for h, _ in flights[:-1]]
        sizes = [(h.shape[1] + told.shape[1], h.shape[1]) for h in outputs]
        models = self._models.sized(sizes, partial(Affine.zero, like=x))
        wanted = self._blocks[-1].backward(d_prediction.pop(), flights.pop()[1])
        for block, model, output in zip(self._blocks[-2::-1], reversed(models), reversed(outputs), strict=True):
            h, saved = flights.pop()
            seen = torch.cat([output, told], 1)
            guess = model(seen) / max(len(h), 1)
            model.learn(seen, guess - wanted.reshape(guess.shape), self.lr)
            wanted = block.backward(guess.reshape(h.shape), saved)
        return value, weight

    def state_dict(self) -> dict[str, Any]:
        """The models of gradients."""
        return {"models": self._models.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take other models."""
        self._models.load_state_dict(state["models"])


def _told(prediction: Tensor, targets: Any) -> Tensor:
    """The targets as a model of gradients reads them: a row of numbers for each row, of a class 1 in its place."""
    if not isinstance(targets, Tensor) or not targets.dim() or len(targets) != len(prediction):
        return prediction.new_zeros(len(prediction), 0)
    if not targets.is_floating_point() and prediction.dim() == 2 and targets.dim() == 1:
        classes = torch.arange(prediction.shape[1], device=targets.device)
        return (targets.unsqueeze(1) == classes).to(prediction.dtype)
    return rows_of(targets).to(prediction.dtype)
