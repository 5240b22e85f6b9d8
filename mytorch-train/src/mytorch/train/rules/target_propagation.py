"""Difference target propagation: blocks learn to reach targets that decoders bring down."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Module, Rule, require_range, require_seed
from mytorch.train.gradients import loss_gradient
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.rules.affine import Affine, Affines
from mytorch.train.rules.chain import SMALL, blocks_of, require_fixed, require_tensor, rows_of


class TargetPropagation(Rule):
    """Give each block a target for its output, brought down by a decoder of the block above, with its error corrected.

    Formula:  h_i = f_i(h_(i-1)), blocks 1 to n;  g_i(h_i) = s(V_i h_i + c_i), a decoder that gives h_(i-1) back
              the topmost hidden target:  t_(n-1) = h_(n-1) - step * rows * dL/dh_(n-1)
              those below:  t_(i-1) = h_(i-1) + g_i(t_i) - g_i(h_i)
              block i learns from || h_i - t_i ||^2 / (2 * step * rows), t_i fixed; the last block from the loss
              g_i learns from || g_i(f_i(x)) - x ||^2 / (2 * rows) at x = h_(i-1) + noise * normal numbers
    Decoders: s are the layers without parameters at the end of block i - 1, so that both give numbers of one range;
              V_i is uniform within 1 / sqrt(features) at first; SGD with `lr`
    Trains:   a Sequential, with any loss of one prediction. A block begins with each layer that has parameters, and
              goes on to the next. ArgumentError for branches, and, at the first batch, for layers such as dropout and
              batch norm that differ between training and evaluation: blocks compute twice in a step

    rows is the number of rows of the batch; for a loss that is a sum it is 1 in targets. Dividing by `step` makes the
    topmost hidden block's update that of backpropagation; the paper leaves the factor to the learning rate. The last
    block's own weights bring the error to the block below, as in the paper.

    lr: the learning rate of the decoders;  step: how far targets lie from activities;  noise: its standard
        deviation;  seed: the seed of the decoders' initial weights and of the noise.
    Source: Lee, Zhang, Fischer and Bengio 2015, "Difference target propagation", algorithm 1

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, Sequential, Tanh
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import TargetPropagation
        >>> net = Sequential(Linear(2, 8), Tanh(), Linear(8, 6), Tanh(), Linear(6, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.1), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> rule = TargetPropagation(lr=0.1)
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=rule, **options)
        >>> [decoder["weight"].shape for decoder in rule.state_dict()["decoders"]]
        [torch.Size([8, 6])]
    """

    transposes = True  # those of the last block, whose gradient makes the topmost target
    refuses: ClassVar[Mapping[str, str]] = {"precision": SMALL}

    def __init__(self, lr: float = 0.1, step: float = 0.1, noise: float = 0.1, seed: int = 0) -> None:
        for name, value in {"lr": lr, "step": step, "noise": noise}.items():
            require_range(self, name, value, 1e-12 if name == "step" else 0)
        require_seed(self, seed)
        self.lr, self.step, self.noise, self.seed = lr, step, noise, seed

    def prepare(self, net: Module, loss: Module) -> None:  # noqa: ARG002
        """Find the blocks; the decoders are drawn when the first batch shows what they read."""
        self._blocks = blocks_of(self, net)
        self._generator = torch.Generator().manual_seed(self.seed)
        self._decoders = Affines("TargetPropagation: decoders", max(len(self._blocks) - 2, 0), net)
        self._shapes: list[torch.Size] | None = None

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:  # noqa: ARG002
        """A forward of all blocks, a backward of each towards its target, and a lesson for the decoders."""
        x = require_tensor(self, "the input", inputs)
        if self._shapes is None:
            self._shapes = self._look(x)
        hidden, flights = [], []
        for block in self._blocks:
            x, saved = block.forward(x)
            hidden.append(require_tensor(self, f"the output of {block}", x))
            flights.append(saved)
        value, weight, d_prediction = loss_gradient(loss, hidden.pop(), targets)
        self._size(hidden)
        d_top = self._blocks[-1].backward(d_prediction.pop(), flights.pop())
        if hidden:
            rows = 1 if sums(loss) else max(len(x), 1)
            self._reach(hidden, flights, -self.step * rows * d_top, self.step * rows)
        return value, weight

    def _reach(self, hidden: list[Tensor], flights: list[Any], offset: Tensor, scale: float) -> None:
        """From the topmost hidden block to the first: a backward towards the target, then that of the block below.

        offset: how far the target lies from what the block put out.
        """
        for at in reversed(range(len(hidden))):
            self._blocks[at].learn(-offset / scale, flights[at])
            if at:
                offset = self._decode(at, hidden[at] + offset)[0] - self._decode(at, hidden[at])[0]
                self._teach(at, hidden[at - 1])

    def _look(self, x: Tensor) -> list[torch.Size]:
        """Look at the first batch: whether blocks compute the same each time, and what tails below decoders take."""
        require_fixed(self, self._blocks, x)
        shapes = []
        for block in self._blocks[:-2]:
            before = block.head().unseen(x)
            shapes.append(require_tensor(self, f"the output of {block.head()}", before).shape[1:])
            x = block.tail().unseen(before)
        return shapes

    def _size(self, hidden: list[Tensor]) -> None:
        """Draw a decoder for the output of each hidden block but the first, which gives what the tail below takes."""
        if self._shapes:
            generator = torch.Generator().manual_seed(self.seed)
            sizes = [(h.shape[1:].numel(), shape.numel()) for h, shape in zip(hidden[1:], self._shapes, strict=True)]
            self._decoders.sized(sizes, partial(Affine.drawn, like=hidden[0], generator=generator))

    def _decode(self, at: int, h: Tensor) -> tuple[Tensor, Tensor, list[Any]]:
        """What decoder g_at makes of the output of block `at`; the rows that it reads, and what its tail saved."""
        assert self._shapes is not None
        rows, tail = rows_of(h), self._blocks[at - 1].tail()
        below, saved = tail.forward(self._decoders.maps[at - 1](rows).reshape(len(h), *self._shapes[at - 1]))
        return below, rows, saved

    def _teach(self, at: int, below: Tensor) -> None:
        """Teach decoder g_at to give back what block `at` is given, near the activities of this batch."""
        drawn = torch.empty(below.shape, dtype=below.dtype).normal_(generator=self._generator).to(below.device)
        x = below + self.noise * drawn
        found, rows, saved = self._decode(at, self._blocks[at].forward(x)[0])
        d_rows = self._blocks[at - 1].tail().backward((found - x) / max(len(x), 1), saved)
        self._decoders.maps[at - 1].learn(rows, rows_of(d_rows), self.lr)

    def state_dict(self) -> dict[str, Any]:
        """The decoders, and the state of what draws the noise."""
        return {"decoders": self._decoders.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take other decoders, and draw as that state would."""
        self._decoders.load_state_dict(state["decoders"])
        self._generator.set_state(state["generator"].cpu())
