"""Forward-forward: each hidden block learns to tell rows with their own label from rows with another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Rule, kind_of, require_seed
from mytorch.train.gradients import loss_gradient
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.chain import Block, blocks_of, require_fixed, require_tensor, rows_of, unseen

HIDES = 1e-2
"""By what part of itself the output of a layer that hides the length of its input may change with that length."""


class ForwardForward(Rule):
    """Train each hidden block to a high goodness for rows with the correct label and a low one for a wrong label.

    Formula:  a_i = units_i(x_(i-1)), the activities of a row;  x_i = a_i without its length, what the block's
              normalisation makes of it;  goodness G_i = sum of a_i^2;  theta_i = the number of units
              L_i = mean over rows of softplus(theta_i - G_i) if the label is right, of softplus(G_i - theta_i) if not
              block i learns from L_i alone: d_a_i = 2 * a_i * (sigmoid(theta_i - G_i), or -sigmoid(G_i - theta_i)),
              the first with a minus sign, divided by the number of rows
    Data:     each row whose target the loss does not ignore, twice, with its own class and with another one, drawn
              uniformly: the first numbers of the row, one for each class, are replaced by 1 for the class and 0 for
              the others
    Classes:  are predicted by the last block. It learns from the loss of the training, on the output of the hidden
              blocks for the rows without labels, which is what `predict` computes
    Trains:   a Sequential with a loss of class scores and floating-point inputs of more numbers than classes, of about
              unit scale. Each hidden block, which begins with a layer that has parameters, must also hold a layer
              without any that hides the length of activities, such as RMSNorm(n, elementwise_affine=False), so that
              the next block cannot read the goodness from it. ArgumentError for other losses and branches, and, at
              the first batch, for other inputs and blocks, and for layers such as dropout and batch norm that differ
              between training and evaluation

    The paper classifies in two ways. This is the second, which takes one forward pass and a softmax on the activities;
    here they are those of the last hidden block, and there is no neutral label in the place of the first numbers.

    seed: the seed of the wrong labels.
    Source: Hinton 2022, "The forward-forward algorithm: some preliminary investigations", sections 2 and 3.3

    Example:
        >>> import torch
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, RMSNorm, Sequential
        >>> from mytorch.train.rules import ForwardForward
        >>> net = Sequential(Linear(6, 8), ReLU(), RMSNorm(8, elementwise_affine=False), Linear(8, 3))
        >>> rule, loss = ForwardForward(), CrossEntropyLoss()
        >>> rule.prepare(net, loss)
        >>> value, weight = rule.gradients(net, loss, torch.randn(5, 6), torch.tensor([0, 2, 1, 0, 2]))
        >>> int(weight)
        5
    """

    local = True
    refuses: ClassVar[Mapping[str, str]] = {
        "float16-mixed": "which scales the loss, from which hidden blocks do not learn"
    }
    conformance: ClassVar[dict[str, Any]] = {
        "opt_out": {"several_batches": "each batch draws wrong labels for its rows, so that parts of it draw others"}
    }

    def __init__(self, seed: int = 0) -> None:
        require_seed(self, seed)
        self.seed = seed

    def prepare(self, net: Module, loss: Module) -> None:
        """Find the blocks. Raises ArgumentError unless the loss is one of class scores."""
        outputs = getattr(loss, "outputs", None)
        if outputs not in ("softmax", "log-softmax", "scores"):
            raise ArgumentError(
                f"ForwardForward: the loss must be one of class scores, such as CrossEntropyLoss, got "
                f"{type(loss).__name__}: wrong labels are drawn among classes; train numbers by another rule"
            )
        self._blocks = blocks_of(self, net)
        if len(self._blocks) == 1:
            raise ArgumentError(
                f"ForwardForward: the model must have a hidden block, got {self._blocks[0]} alone; train it without a "
                "rule"
            )
        self._generator = torch.Generator().manual_seed(self.seed)
        self._parts: list[tuple[Block, Block]] = []

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:  # noqa: ARG002
        """Teach the hidden blocks by rows with right and wrong labels, and the last block by the rows as they are."""
        if not self._parts:
            self._look(inputs)
        x = inputs
        for block in self._blocks[:-1]:
            x, _ = block.forward(x)
        prediction, saved = self._blocks[-1].forward(x)
        value, weight, d_prediction = loss_gradient(loss, prediction, targets)
        labelled = self._labelled(loss, inputs, targets, prediction)
        self._blocks[-1].learn(d_prediction.pop(), saved)
        for units, normalisation in self._parts if len(labelled) else ():
            labelled = normalisation.forward(_teach(units, labelled))[0]
        return value, weight

    def _labelled(self, loss: Module, x: Tensor, targets: Any, prediction: Tensor) -> Tensor:
        """The rows with their labels, and again with wrong ones; without those whose targets the loss ignores."""
        if prediction.dim() != 2 or not isinstance(targets, Tensor) or targets.shape != prediction.shape[:1]:
            got = tuple(targets.shape) if isinstance(targets, Tensor) else kind_of(targets)
            raise ArgumentError(
                "ForwardForward: there must be one row of scores and one class for each row of the input, got scores "
                f"{tuple(prediction.shape)} and targets {got}; train this model by another rule"
            )
        classes, numbers = prediction.shape[1], x[0].numel() if len(x) else 0
        if classes < 2 or (len(x) and numbers <= classes):
            raise ArgumentError(
                "ForwardForward: rows must have more numbers than the classes, of which there must be two, got "
                f"{numbers} and {classes} classes: the label takes the place of the first numbers; train this model "
                "by another rule"
            )
        known = (targets >= 0) & (targets < classes) & (targets != getattr(loss, "ignore_index", -1))
        x, targets = x[known], targets[known]
        others = torch.randint(1, classes, targets.shape, generator=self._generator).to(targets.device)
        labels = torch.cat([targets, (targets + others) % classes])
        rows = torch.cat([x, x]).flatten(1)
        marks = torch.nn.functional.one_hot(labels, classes).to(x.dtype)
        return torch.cat([marks, rows[:, classes:]], 1).reshape(len(labels), *x.shape[1:])

    def _look(self, inputs: Any) -> None:
        """Look at the first batch, and part each hidden block before the layer that hides the length."""
        x = require_tensor(self, "the input", inputs)
        if not x.is_floating_point():
            raise ArgumentError(
                f"ForwardForward: the input must be floating point, got {x.dtype}: the label is laid over its first "
                "numbers; train this model by another rule"
            )
        require_fixed(self, self._blocks, x)
        parts = []
        for block in self._blocks[:-1]:
            units, normalisation = _parted(block, x)
            parts.append((units, normalisation))
            x = block.unseen(x)
        self._parts = parts

    def state_dict(self) -> dict[str, Any]:
        """The state of what draws wrong labels."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Draw as that state would."""
        self._generator.set_state(state["generator"].cpu())


def _teach(units: Block, x: Tensor) -> Tensor:
    """Add the gradients of a block's own loss, the first half of the rows having right labels; return activities."""
    a: Tensor
    a, saved = units.forward(x)
    rows = rows_of(a)
    excess = rows.square().sum(1) - rows.shape[1]
    right = len(rows) // 2
    d_goodness = torch.cat([-torch.sigmoid(-excess[:right]), torch.sigmoid(excess[right:])]) / max(len(rows), 1)
    units.learn((2 * rows * d_goodness.unsqueeze(1)).reshape(a.shape), saved)
    return a


def _parted(block: Block, x: Tensor) -> tuple[Block, Block]:
    """The layers that make the activities of a block, and those from the one on that hides their length."""
    a = block.head().unseen(x)
    count = len(block.head().layers)
    for at, (_, layer) in enumerate(block.tail().layers, start=count):
        y, longer = unseen(layer, a), unseen(layer, 2 * a)
        # of what is NaN nothing can be said, and the training finds where it came from
        if not torch.linalg.vector_norm(longer - y) > HIDES * torch.linalg.vector_norm(y):
            return Block(block.layers[:at]), Block(block.layers[at:])
        a = y
    raise ArgumentError(
        "ForwardForward: each hidden block must hold a layer without parameters that hides the length of activities, "
        f"such as RMSNorm(n, elementwise_affine=False), got {block}; put one behind its activation"
    )
