"""The two sides of the comparison, with one set of methods."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from mytorch.core import Loss, Module
from mytorch.experiments.file.build import Setup, schedule_arguments
from mytorch.experiments.parity.twin import twin_of, twin_optimizer, twin_schedule
from mytorch.train.batches import call
from mytorch.train.choose_step import choose_step
from mytorch.train.evaluation import evaluate
from mytorch.train.mean_loss import sums, weight_of


class Contestant(Protocol):
    """Something that trains one model."""

    name: str
    net: Any
    loss: Any

    def step(self, inputs: Any, targets: Any) -> float:
        """Take one training step and return the loss."""

    def advance(self, interval: str) -> None:
        """Move the schedule on after a "batch" or an "epoch"."""

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""


class Ours:
    """The experiment as mytorch.train runs it."""

    name = "mytorch"

    def __init__(self, setup: Setup) -> None:
        self.setup, self.net, self.loss = setup, setup.net, setup.loss
        self.net.train()
        self.net.input_grad = False
        options = setup.experiment
        self.take_step = choose_step(setup.optimizer, options.clip_grad_norm, options.optimizer_in_backward)

    def step(self, inputs: Any, targets: Any) -> float:
        """Take one training step and return the loss."""
        with torch.inference_mode():
            return float(self.take_step(self.net, self.loss, self.setup.optimizer, inputs, targets))

    def advance(self, interval: str) -> None:
        """Move the schedule on after a "batch" or an "epoch"."""
        if self.setup.schedule is not None and self.setup.schedule.interval == interval:
            self.setup.schedule.step()

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""
        return self.net.state_dict()


class Torchs:
    """The experiment's twin, with torch.nn, autograd and torch.optim.

    fused: which of torch's own kernels update the weights; its own choice if None.
    """

    def __init__(self, setup: Setup, name: str = "PyTorch", *, fused: bool | None = None) -> None:
        self.name, self.setup = name, setup
        self.net, self.loss = twin_of(setup.net), twin_of(setup.loss)
        self.optimizer = twin_optimizer(setup.optimizer, setup.schedule, setup.net, self.net, fused=fused)
        arguments = schedule_arguments(setup.experiment, len(setup.batches))
        self.schedule = twin_schedule(setup.schedule, self.optimizer, arguments)

    def step(self, inputs: Any, targets: Any) -> float:
        """Take one training step and return the loss."""
        prediction = call(self.net, inputs)
        value = self.loss(prediction, targets)
        value.backward()
        if self.setup.experiment.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.setup.experiment.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(value.detach())

    def advance(self, interval: str) -> None:
        """Move the schedule on after a "batch" or an "epoch"."""
        ours = self.setup.schedule
        if ours is not None and ours.interval == interval:
            self.schedule.step()

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""
        state: dict[str, Tensor] = self.net.state_dict()
        return state

    def copy_from(self, ours: Ours) -> None:
        """Take over weights, buffers and optimizer state; settings that only torch has stay as they are."""
        self.net.load_state_dict(ours.net.state_dict())
        state = copy.deepcopy(ours.setup.optimizer.state_dict())  # torch keeps what it is given
        pairs = zip(self.optimizer.param_groups, state["param_groups"], strict=True)
        state["param_groups"] = [{**own, **{name: mine[name] for name in own if name in mine}} for own, mine in pairs]
        self.optimizer.load_state_dict(state)


class _Judging(Loss):
    """A contestant's loss, averaged over batches as that of the experiment is."""

    def __init__(self, ours: Module, value_of: Callable[[Any, Any], Tensor]) -> None:
        self.ours, self.value_of, self.reduction = ours, value_of, "sum" if sums(ours) else "mean"

    def forward(self, prediction: Any, target: Any) -> tuple[Tensor, None]:
        return self.value_of(prediction, target), None

    def weight_of(self, prediction: Any, target: Any) -> int | float | Tensor:
        return weight_of(self.ours, prediction, target)


def judge(contestant: Contestant, setup: Setup) -> dict[str, float]:
    """Metrics on the training data, loss and metrics on the test data."""
    net, loss = (
        contestant.net,
        _Judging(setup.loss, contestant.loss.__call__),
    )  # a method, since a module holds no torch.nn.Module
    trained = evaluate(net, None, setup.batches.data, setup.metrics) if setup.metrics else {}
    tested = {} if setup.test is None else evaluate(net, loss, setup.test, setup.metrics)
    return {f"train_{name}": value for name, value in trained.items()} | {
        f"test_{name}": value for name, value in tested.items()
    }
