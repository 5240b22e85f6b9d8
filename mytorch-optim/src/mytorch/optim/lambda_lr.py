"""A learning rate by a function of the step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from mytorch.core import Optimizer, Schedule
from mytorch.optim.checks import factor_at, functions_of_groups


class LambdaLR(Schedule):
    """Multiply the initial learning rate by a function of the step.

    Formula:  lr(t) = lr(0) * lr_lambda(t)
    Groups:   lr_lambda may be a list with one function a group
    File:     an experiment names an installed function: lr_lambda = "package.module:name"
    State:    how far it is, without the functions; torch's state dicts are taken, and torch takes these
    Raises:   ArgumentError if lr_lambda is no function, or gives no finite number of at least 0
    Source:   torch.optim.lr_scheduler.LambdaLR, whose definition it follows

    Example:
        schedule = LambdaLR(optimizer, lr_lambda=lambda step: 0.95**step)
    """

    follows_others: ClassVar[bool] = False
    conformance: ClassVar = {"arguments": {"lr_lambda": lambda _: lambda step: 1 / (1 + step)}}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = functions_of_groups(self, "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        return {"lr": initial["lr"] * factor_at(self, "lr_lambda", self.lr_lambdas[initial["group"]], step)}

    def for_torch(self) -> dict[str, Any]:
        return {**super().for_torch(), "lr_lambdas": [None] * len(self.lr_lambdas)}
