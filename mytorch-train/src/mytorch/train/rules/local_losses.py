"""Local losses: each block learns by a head and a loss of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, Rule, require_range, require_seed
from mytorch.train.gradients import loss_gradient
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.affine import Affine, Affines
from mytorch.train.rules.chain import Block, blocks_of, require_tensor, rows_of


class LocalLosses(Rule):
    """Give each block of layers a linear head and a loss of its own; no error flows between blocks.

    Formula:  h_i = block_i(h_(i-1));  y_i = tail(A_i h_i + a_i), with A_i h_i + a_i the head, and the tail the layers
              without parameters at the end of the last block, such as LogSoftmax;  L_i = loss(y_i, target)
              d_a_i, the gradient of the head's output, is dL_i/dy_i sent back through the tail
              block_i learns from d_h_i = A_i^T d_a_i, and the head from d_a_i; the last block from the loss
    Heads:    trained by SGD with `lr`; drawn uniform within 1 / sqrt(features). A head reads the last axis of h_i
              where the other axes are those of what goes into the tail, else all numbers of a row
    Trains:   a Sequential, with any loss of one prediction: cross entropy for classes, the squared error for numbers.
              A block begins with each layer that has parameters, and goes on to the next. In a layer that holds
              layers, such as Residual, d_h_i goes back by their own backward. ArgumentError for any other net.

    This is the prediction loss (L_pred) of the two local losses in the paper; the other one compares the similarities
    of activities with those of targets. The paper pools large images before a head; this rule does not.

    lr: the learning rate of the heads;  seed: the seed of their initial weights.
    Source: Nøkland and Eidnes 2019, "Training neural networks with local error signals"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import LocalLosses
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> rule = LocalLosses(lr=0.1)
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=rule, **options)
        >>> [head["weight"].shape for head in rule.state_dict()["heads"]]
        [torch.Size([2, 8])]
    """

    local = True
    refuses: ClassVar[Mapping[str, str]] = {
        "float16-mixed": "which scales the loss, from which the rule also teaches its heads"
    }

    def __init__(self, lr: float = 0.1, seed: int = 0) -> None:
        require_range(self, "lr", lr, 0)
        require_seed(self, seed)
        self.lr, self.seed = lr, seed

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Find the blocks; the heads are drawn when the first batch shows what they read."""
        *self._hidden, last = blocks_of(self, net, whole=True)
        self._head, self._tail = last.head(), last.tail()
        self._heads = Affines("LocalLosses: heads", len(self._hidden), net)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:  # noqa: ARG002
        """A forward of all blocks, and a backward of each from its own loss."""
        x, flights = require_tensor(self, "the input", inputs), []
        for block in self._hidden:
            x, saved = block.forward(x)
            flights.append((require_tensor(self, f"the output of {block}", x), saved))
        scores, saved = self._head.forward(x)
        require_tensor(self, f"the output of {self._head}", scores)
        value, weight, d_scores = _scored(self._tail, loss, scores, targets)
        heads = self._sized([h for h, _ in flights], scores)
        self._head.learn(d_scores, saved)
        for block, head, (h, saved) in zip(self._hidden, heads, flights, strict=True):
            block.learn(self._taught(head, h, loss, scores, targets), saved)
        return value, weight

    def _sized(self, hidden: list[Tensor], scores: Tensor) -> list[Affine]:
        generator = torch.Generator().manual_seed(self.seed)
        shapes = [(read.shape[1], shape[1]) for read, shape in (_read(h, scores) for h in hidden)]
        return self._heads.sized(shapes, partial(Affine.drawn, like=scores, generator=generator))

    def _taught(self, head: Affine, h: Tensor, loss: Module, scores: Tensor, targets: Any) -> Tensor:
        """Teach a head, and return the gradient of what it reads."""
        read, shape = _read(h, scores)
        _, _, d_scores = _scored(self._tail, loss, head(read).reshape(scores.shape), targets)
        d_rows = d_scores.reshape(shape)
        d_h = head.back(d_rows).reshape(h.shape)
        head.learn(read, d_rows, self.lr)
        return d_h

    def state_dict(self) -> dict[str, Any]:
        """The heads."""
        return {"heads": self._heads.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take other heads."""
        self._heads.load_state_dict(state["heads"])


def _scored(tail: Block, loss: Module, scores: Tensor, targets: Any) -> tuple[Tensor, Weight, Tensor]:
    """The loss of scores that go through the last layers, its weight, and the gradient of the scores."""
    prediction, saved = tail.forward(scores)
    value, weight, d_prediction = loss_gradient(loss, prediction, targets)
    return value, weight, tail.backward(d_prediction.pop(), saved)


def _read(h: Tensor, scores: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """What a head reads of activities, as rows, and the shape of the scores as rows of the same number."""
    if h.dim() == scores.dim() and h.shape[:-1] == scores.shape[:-1]:
        read, numbers = h.reshape(-1, h.shape[-1]), scores.shape[-1]
    else:
        read, numbers = rows_of(h), scores.shape[1:].numel()
    return read, (len(read), numbers)
