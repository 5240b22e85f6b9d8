"""The contract of schedules: settings of the optimizer as a function of the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from mytorch.core.errors import ArgumentError
from mytorch.core.optimizer import Optimizer


class Schedule:
    """Sets the learning rate, and whatever else it names, of every group of an optimizer.

    A subclass writes `settings`, a closed formula of the step; step 0 applies on construction.

    interval: whether the training loop calls `step` after every batch or after every epoch.
    length_argument: the constructor's argument that holds the number of steps of the whole run, if there is one;
        the training loop fills it in when an experiment leaves it out.
    """

    interval: ClassVar[Literal["batch", "epoch"]] = "epoch"
    length_argument: ClassVar[str | None] = None

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: optimizer must be an Optimizer, got {optimizer!r}")
        self.optimizer = optimizer
        self.initial: list[dict[str, Any]] = []
        for group in optimizer.param_groups:
            if "lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: optimizer must have a learning rate to schedule, got {optimizer!r}"
                )
            if last_epoch == -1:
                group["initial_lr"] = _number(group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: last_epoch must be -1 for an optimizer that no schedule has driven yet, "
                    f"got {last_epoch}"
                )
            settings = {name: value for name, value in group.items() if name != "params"}
            self.initial.append({**settings, "lr": group["initial_lr"]})
        self.last_epoch = last_epoch
        self.step()

    @property
    def base_lrs(self) -> list[float]:
        """The learning rate of each group before the schedule."""
        return [initial["lr"] for initial in self.initial]

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        """The settings of a group at a step, such as {"lr": ...}, from those it had at the start."""
        raise NotImplementedError(f"{type(self).__name__}: settings must be defined")

    def step(self) -> None:
        """Move on by one step and apply its settings; a setting that is a tensor is changed in place."""
        self.last_epoch += 1
        self._apply()

    def _apply(self) -> None:
        if len(self.optimizer.param_groups) != len(self.initial):
            raise ArgumentError(
                f"{type(self).__name__}: the optimizer must keep its {len(self.initial)} parameter groups, got "
                f"{len(self.optimizer.param_groups)}; add groups first and build the schedule after"
            )
        for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
            for name, value in self.settings(self.last_epoch, initial).items():
                if isinstance(group[name], Tensor):
                    group[name].fill_(value)
                else:
                    group[name] = value

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [_number(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands."""
        return {"last_epoch": self.last_epoch, "initial": [dict(initial) for initial in self.initial]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another schedule stood; the optimizer's settings are set at once."""
        self.last_epoch = state["last_epoch"]
        self.initial = [dict(initial) for initial in state["initial"]]
        self._apply()


def _number(value: float | Tensor) -> float:
    return value.item() if isinstance(value, Tensor) else value
