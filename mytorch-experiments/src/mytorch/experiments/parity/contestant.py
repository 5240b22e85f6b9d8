"""The two sides of the comparison, with one set of methods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from mytorch.core import Loss, Metric, Module
from mytorch.data.transforms import Parts
from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.schedules import PlannedSchedule
from mytorch.experiments.parity.twin import twin_of, twin_optimizer, twin_schedule
from mytorch.train.batches import call
from mytorch.train.choose_step import is_in_backward, is_plain
from mytorch.train.evaluation import evaluate, tell_outputs
from mytorch.train.exclusions import name_of
from mytorch.train.mean_loss import MeanLoss, Weight, sums, weight_of
from mytorch.train.setup import Interval, Setup, advance


class Contestant(Protocol):
    """Something that trains one model."""

    name: str
    net: Any
    loss: Any

    def step(self, inputs: Any, targets: Any) -> tuple[float, Weight]:
        """Take one training step. Returns the loss and its weight."""

    def advance(self, interval: Interval, record: Mapping[str, float] | None = None) -> None:
        """Move the schedule on after a "batch", or after an "epoch" with its line of the history."""

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""


class Ours:
    """The experiment as mytorch.train runs it. Raises ParityError for a step that PyTorch has no twin of."""

    name = "mytorch"

    def __init__(self, setup: Setup) -> None:
        if not (is_plain(setup.step) or is_in_backward(setup.step)):
            raise ParityError(
                f"parity: step must be one of mytorch.train's, since PyTorch has no twin of another, "
                f"got {name_of(setup.step)}"
            )
        if setup.precision is not None:
            raise ParityError(
                f"parity: precision must be left out, since numbers are compared as closely as float32 has them, got "
                f"{setup.precision}"
            )
        self.setup, self.net, self.loss = setup, setup.net, setup.loss
        self.net.train()
        self.net.input_grad = False

    def step(self, inputs: Any, targets: Any) -> tuple[float, Weight]:
        """Take one training step. Returns the loss and its weight."""
        with torch.inference_mode():
            value, weight = self.setup.take_step(inputs, targets)
        return value.item(), weight

    def advance(self, interval: Interval, record: Mapping[str, float] | None = None) -> None:
        """Move the schedule on after a "batch", or after an "epoch" with its line of the history."""
        self.setup.advance(interval, record)

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""
        return self.net.state_dict()


class Torchs:
    """A setup's twin, with torch.nn, autograd and torch.optim.

    planned: what the setup's schedule was built from.
    clip_grad_norm, clip_grad_value: the bounds to which the setup's step clips.
    fused: which of torch's own kernels update the weights; its own choice if None.
    """

    def __init__(
        self,
        setup: Setup,
        planned: PlannedSchedule | None,
        clip_grad_norm: float | None = None,
        name: str = "PyTorch",
        *,
        clip_grad_value: float | None = None,
        fused: bool | None = None,
    ) -> None:
        self.name, self.setup = name, setup
        self.clip_grad_norm, self.clip_grad_value = clip_grad_norm, clip_grad_value
        self.net, self.loss = twin_of(setup.net), twin_of(setup.loss)
        self.optimizer = twin_optimizer(setup.optimizer, setup.schedule, setup.net, self.net, fused=fused)
        self.schedule = twin_schedule(planned, self.optimizer)

    def step(self, inputs: Any, targets: Any) -> tuple[float, Weight]:
        """Take one training step. Returns the loss and its weight."""
        if self.setup.batches.accumulate > 1:
            value, weight = self._accumulate(inputs, targets)
        else:
            value, weight = self._backward(inputs, targets)
        if self.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.clip_grad_norm)
        if self.clip_grad_value is not None:
            torch.nn.utils.clip_grad_value_(self.net.parameters(), self.clip_grad_value)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value, weight

    def _backward(self, inputs: Any, targets: Any, *, weighted: bool = False) -> tuple[float, Weight]:
        """The gradients of one batch, times its weight in the mean over batches if wanted."""
        prediction = call(self.net, inputs)
        value = self.loss(prediction, targets)
        with torch.no_grad():
            weight = weight_of(self.setup.loss, prediction, targets)
        (value * weight if weighted and not sums(self.setup.loss) else value).backward()
        return float(value.detach()), weight

    def _accumulate(self, inputs: Sequence[Any], targets: Sequence[Any]) -> tuple[float, Weight]:
        """The gradients of several batches as if they were one."""
        mean, total = MeanLoss(self.setup.loss), 0.0
        for x, t in zip(inputs, targets, strict=True):
            value, weight = self._backward(x, t, weighted=True)
            mean.add(value, weight)
            total += float(weight)
        if sums(self.setup.loss):
            return mean.compute() * total, total
        for parameter in self.net.parameters():
            if parameter.grad is not None:
                parameter.grad /= total or 1.0
        return mean.compute(), total

    def advance(self, interval: Interval, record: Mapping[str, float] | None = None) -> None:
        """Move the schedule on after a "batch", or after an "epoch" with its line of the history."""
        ours = self.setup.schedule
        if ours is not None:
            advance(self.schedule, ours.interval, ours.monitor, interval, record)

    def state(self) -> dict[str, Tensor]:
        """Weights and buffers by name."""
        state: dict[str, Tensor] = self.net.state_dict()
        return state

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        """Take over weights, buffers and optimizer state of ours; settings that only torch has stay as they are."""
        self.net.load_state_dict(weights)
        state = copy.deepcopy(dict(optimizer))  # torch keeps what it is given
        pairs = zip(self.optimizer.param_groups, state["param_groups"], strict=True)
        state["param_groups"] = [{**own, **{name: mine[name] for name in own if name in mine}} for own, mine in pairs]
        self.optimizer.load_state_dict(state)


class _Judging(Loss):
    """A contestant's loss, averaged over batches as that of the experiment is."""

    def __init__(self, ours: Module, value_of: Callable[[Any, Any], Tensor]) -> None:
        self.ours, self.value_of, self.reduction = ours, value_of, "sum" if sums(ours) else "mean"
        self.outputs = getattr(ours, "outputs", Loss.outputs)  # type: ignore[misc]  # which metrics are told

    def forward(self, prediction: Any, target: Any) -> tuple[Tensor, None]:
        return self.value_of(prediction, target), None

    def weight_of(self, prediction: Any, target: Any) -> int | float | Tensor:
        return weight_of(self.ours, prediction, target)


def judge(contestant: Contestant, setup: Setup, parts: Parts, metrics: Sequence[Metric]) -> dict[str, float]:
    """Metrics on the training part of the data, loss and metrics on the others."""
    net = contestant.net
    loss = _Judging(setup.loss, contestant.loss.__call__)  # a method, since a module holds no torch.nn.Module
    tell_outputs(metrics, loss)
    trained = evaluate(net, None, setup.batches.data, metrics) if metrics else {}
    record = {f"train_{name}": value for name, value in trained.items()}
    for part, data in (("validation", parts.validation), ("test", parts.test)):
        if data is not None:
            record |= {f"{part}_{name}": value for name, value in evaluate(net, loss, data, metrics).items()}
    return record
