"""A learning rate that is multiplied by a function of the step, at each step."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Optimizer, RecursiveSchedule
from mytorch.core.schedule import number
from mytorch.optim.checks import factor_at, functions_of_groups


class MultiplicativeLR(RecursiveSchedule):
    """Multiply the learning rate by a function of the step, at each step.

    Formula:  lr(t) = lr(t - 1) * lr_lambda(t), from the learning rate that it finds
    Nested:   behind a milestone of SequentialLR it begins with the learning rate of then times lr_lambda(0), as in
              torch, where the others begin with the initial one
    Groups:   lr_lambda may be a list with one function a group
    File:     an experiment names an installed function: lr_lambda = "package.module:name"
    State:    how far it is and the learning rates, without the functions; torch's state dicts are taken, and torch
              takes these
    Raises:   ArgumentError if lr_lambda is no function, or gives no finite number of at least 0
    Source:   torch.optim.lr_scheduler.MultiplicativeLR, whose definition it follows

    Example:
        schedule = MultiplicativeLR(optimizer, lr_lambda=lambda step: 0.95)
    """

    conformance: ClassVar = {"arguments": {"lr_lambda": lambda _: lambda step: step / (1 + step)}}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = functions_of_groups(self, "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def _start(self) -> None:
        self.last_epoch += 1  # the learning rate stays as it is

    def begin(self, chained: bool = False) -> None:
        self.last_epoch = 0
        if not chained:
            self.advance(None, chained)

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:  # noqa: ARG002 - both go on from now
        pairs = zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)
        step = self.last_epoch
        self.apply([{"lr": number(group["lr"]) * factor_at(self, "lr_lambda", f, step)} for group, f in pairs])

    def for_torch(self) -> dict[str, Any]:
        return {**super().for_torch(), "lr_lambdas": [None] * len(self.lr_lambdas)}
