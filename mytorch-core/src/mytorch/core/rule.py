"""The contract of a learning rule: what is added to gradients in place of what backpropagation adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core.module import Module

UNSAID = "which a rule takes only if it says so (Rule.refuses)"


class Rule:
    """How errors reach the layers of a model: what is added to the gradients in place of what backpropagation adds.

    A subclass overrides `gradients`, and the other methods where it needs them; `fit(..., rule=...)` calls it in every
    step, and the optimizer uses what it added. A rule changes no layer: it calls the layers of a chain by itself, or
    stands around their forward and backward (`mytorch.train.observe.intercept`).

    transposes: whether a layer's update depends on the weights of the layers above it beyond the outputs that they
        give, as that of backpropagation does (weight transport).
    local: whether a layer's update depends on nothing of the layers above it.
    forward_only: whether no backward of any layer is called.
    refuses: by the name of an option with which the rule cannot train, why it cannot, in the words of an error. By
        default these are both that a rule may take; with `refuses = {}` it takes them. `accumulate` averages what
        `gradients` adds for several small batches: for a rule that adds a mean over the rows. `precision` lets layers
        compute in half precision wherever they are called, between numbers in float32; "float16-mixed" also multiplies
        what the loss sends back: for a rule that adds what is proportional to it.

    A rule whose gradient is no mean over the rows may take several batches nevertheless: one that has a method
    `gradients_of_several(net, loss, inputs, targets)` is given lists of batches, and treats them as one.

    Example:
        >>> import torch
        >>> from mytorch.core import Rule
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit, gradients
        >>> class Signs(Rule):
        ...     transposes = True
        ...     def gradients(self, net, loss, inputs, targets):
        ...         result = gradients(net, loss, inputs, targets)
        ...         for parameter in net.param():
        ...             parameter.grad = parameter.grad.sign()
        ...         return result
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.01), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=Signs(), **options)
        >>> len(training.history)
        2
    """

    transposes: ClassVar[bool] = False
    local: ClassVar[bool] = False
    forward_only: ClassVar[bool] = False
    refuses: ClassVar[Mapping[str, str]] = {"accumulate": UNSAID, "precision": UNSAID}

    def prepare(self, net: Module, loss: Module) -> None:
        """Draw what the rule needs, from a seed of its own, before a training begins from the start.

        It changes neither the values of the net nor torch's random state. Raises ArgumentError for what the rule
        cannot train.
        """

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, int | float | Tensor]:
        """Add to the gradients of `net.param()`; return the loss of the batch and its weight in a mean over batches.

        The arguments and the result are those of `mytorch.train.gradients`.
        """
        raise NotImplementedError(f"{type(self).__name__}: gradients must be overridden")

    def names(self, net: Module) -> list[str]:  # noqa: ARG002
        """The names of the results."""
        return []

    def results(self) -> dict[str, float]:
        """What the history is to hold of the steps since the last call, by name; what comes later begins anew."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What decides what comes later, for a checkpoint: tensors and what JSON can hold."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
