"""Direct feedback alignment: the error of the prediction reaches every block at once, through a matrix of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, Rule, StateError, require_seed
from mytorch.train.gradients import loss_gradient
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.chain import blocks_of, require_tensor, rows_of
from mytorch.train.rules.feedback import glorot_uniform


class DirectFeedbackAlignment(Rule):
    """Send the error of the prediction to every block of a chain directly, each time through a fixed random matrix.

    Formula:  d_h = B e for the output h of a hidden block, where backpropagation uses what the block above sends back.
              e is the gradient of the loss with respect to the output of the last layer that has parameters: the
              prediction, or what goes into LogSoftmax or the like behind that layer. In the block, d_h goes back as
              its layers state it: d_W = (d_h * f'(a)) x^T for h = f(W x). The last block learns from e
    Drawn:    B, of the shape (numbers of e, numbers of h) of a row, uniform between -bound and bound, with
              bound = sqrt(6 / (rows of B + columns of B)); when the first batch shows these sizes
    Trains:   a Sequential, which may contain others. A block is a layer with parameters and the layers without any
              that follow it. In a layer that holds layers, such as Residual, d_h goes back by their own backward. If
              that output and the output of a block have the same axes except for the last one, as in a sequence, each
              position has its own e; otherwise a row's h learns from all numbers of the row's e

    No block waits for the blocks above it, so all blocks could learn at the same time.

    seed: the seed of the matrices.
    Raises: ArgumentError for a net that is no Sequential
    Source: Nøkland 2016, "Direct feedback alignment provides learning in deep neural networks"; blocks of several
            layers, as in transformers: Launay, Poli, Boniface and Krzakala 2020, "Direct feedback alignment scales to
            modern deep learning tasks and architectures"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import DirectFeedbackAlignment
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> rule = DirectFeedbackAlignment()
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=rule, **options)
        >>> [tuple(matrix.shape) for matrix in rule.state_dict()["matrices"]]
        [(2, 8)]
    """

    refuses: ClassVar[Mapping[str, str]] = {}

    def __init__(self, seed: int = 0) -> None:
        require_seed(self, seed)
        self.seed = seed

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Find the blocks; the matrices are drawn when the first batch shows their sizes."""
        *self._hidden, last = blocks_of(self, net, whole=True)
        self._head, self._tail = last.head(), last.tail()
        self._matrices: list[Tensor] = []
        self._sizes: list[tuple[int, int]] | None = None

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:  # noqa: ARG002
        """A forward of all blocks, and a backward of each by itself."""
        x, flights = require_tensor(self, "the input", inputs), []
        for block in self._hidden:
            x, saved = block.forward(x)
            if not isinstance(x, Tensor) or not x.dim():
                require_tensor(self, f"the output of {block}", x)
            flights.append((x, saved))
        x, saved = self._head.forward(x)
        require_tensor(self, f"the output of {self._head}", x)
        prediction, saved_by_tail = self._tail.forward(x)
        value, weight, d_prediction = loss_gradient(loss, prediction, targets)
        e = self._tail.backward(d_prediction.pop(), saved_by_tail)
        rows = [_rows(e, h) for h, _ in flights]
        matrices = self._sized([shape for _, shape in rows], e)
        for block, (error, _), matrix, (h, saved_by_block) in zip(self._hidden, rows, matrices, flights, strict=True):
            d_h = error.mm(matrix)
            block.learn(d_h if h.dim() == 2 else d_h.reshape(h.shape), saved_by_block)
        self._head.learn(e, saved)
        return value, weight

    def _sized(self, shapes: list[tuple[int, int]], like: Tensor) -> list[Tensor]:
        """The matrices of these shapes, drawn at the first call. Raises StateError for others."""
        if shapes == self._sizes:
            return self._matrices
        if not self._matrices:
            generator = torch.Generator().manual_seed(self.seed)
            self._matrices = [glorot_uniform(shape, like.dtype, generator) for shape in shapes]
        found = [tuple(matrix.shape) for matrix in self._matrices]
        if found != shapes:
            raise StateError(
                f"DirectFeedbackAlignment: matrices must have the sizes of errors and activities of a row, {shapes}, "
                f"got {found}; give every batch rows of the same size, and take the state of the same model"
            )
        self._sizes, self._matrices = shapes, [matrix.to(like) for matrix in self._matrices]
        return self._matrices

    def state_dict(self) -> dict[str, Any]:
        """The matrices; none before the first batch."""
        return {"matrices": list(self._matrices)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take other matrices."""
        self._matrices, self._sizes = [matrix.clone() for matrix in state["matrices"]], None


def _rows(e: Tensor, h: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The error as rows, one for each place or row of the activities, and how many numbers a row of both has."""
    alike = h.dim() == e.dim() and h.shape[:-1] == e.shape[:-1]
    rows = e
    if e.dim() != 2:
        rows = e.reshape(-1, e.shape[-1]) if alike else rows_of(e)
    return rows, (rows.shape[1], h.shape[-1] if alike else h.shape[1:].numel())
