"""What a training consists of, written out once: the parts that every way to take its steps shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Buffer, Module, Optimizer, Parameter, Schedule, require_kind
from mytorch.train.accumulate import accumulates
from mytorch.train.batches import Batches
from mytorch.train.half_precision.half_precision import HalfPrecision
from mytorch.train.mean_loss import Weight
from mytorch.train.state_left import take_up
from mytorch.train.step import step
from mytorch.train.subnormal_numbers import SubnormalNumbersAsZero

TakeStep = Callable[[Module, Module, Optimizer, Any, Any], tuple[Tensor, Weight]]
"""Takes one training step, of (net, loss, optimizer, inputs, targets), and returns the loss and its weight."""


Interval = Literal["batch", "epoch"]


@dataclass(frozen=True, eq=False)
class Setup:
    """The parts of one training, which `fit`, experiments, engines and the search for non-finite values share.

    net, loss: the model and the quantity to minimise.
    optimizer: holds parameters of the net.
    batches: the training data, in the order in which it is trained on.
    schedule: sets the learning rate, and whatever else it names, of `optimizer`.
    step: takes one training step on what `batches` yields, like `mytorch.train.step`, or like `step_accumulated` if
        several batches make one step; `choose_step` makes one from options.
    tensors: every parameter and buffer of the net, each once.
    Raises ArgumentError for parts of the wrong kind, or that do not belong together.
    """

    net: Module
    loss: Module
    optimizer: Optimizer
    batches: Batches
    schedule: Schedule | None = None
    step: TakeStep = step
    tensors: list[Parameter | Buffer] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _require_kinds(self)
        _require_trained(self.net, self.optimizer)
        _require_driven(self.optimizer, self.schedule)
        _require_lists(self.batches, self.step)
        object.__setattr__(self, "tensors", list(dict.fromkeys(held for _, held in self.net.named_state())))
        self.batches.device = None if self.device.type == "cpu" else self.device

    @property
    def device(self) -> torch.device:
        """The device of the net's first parameter."""
        return next(held.value.device for held in self.tensors if isinstance(held, Parameter))

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Within this context the net has its values as steps need them: in bfloat16 with that precision.

        Raises ArgumentError, on all processes, for an optimizer that has only a part of the state that they need.
        """
        shards = self.shards
        if shards is None:
            processes = getattr(self.step, "processes", None)
            take_up(self.optimizer, gather=None if processes is None else processes.gather)
        with (
            nullcontext() if self.precision is None else self.precision.storing(self.net),
            nullcontext() if shards is None else shards.storing(self.net, self.loss, self.optimizer),
        ):
            yield

    def widened(self) -> AbstractContextManager[None]:
        """Within this context, which lies in that of `storing`, the net has its values as they are judged and kept."""
        return self.whole() if self.precision is None else self._widened(self.precision)

    @contextmanager
    def _widened(self, precision: HalfPrecision) -> Iterator[None]:
        with self.whole(), precision.widened(self.net):
            yield

    def whole(self) -> AbstractContextManager[None]:
        """Within this context, which lies in that of `storing`, the net has its values whole."""
        return nullcontext() if self.shards is None else self.shards.in_whole()

    def here(self, held: Iterable[Parameter | Buffer]) -> list[Parameter | Buffer]:
        """Those of which this process has values now: in a pipeline, other processes have those of their stages."""
        absent = () if self.shards is None else self.shards.absent
        return [each for each in held if each not in absent] if absent else list(held)

    @property
    def shards(self) -> Any:
        """What this process keeps of what several processes divide: `Shards`, or a `Stage` of a pipeline."""
        return getattr(self.step, "shards", None)

    def optimizer_state(self) -> dict[str, Any]:
        """The state of the optimizer, as one process has it. Raises ArgumentError where others have a part of it."""
        return self.optimizer.state_dict() if self.shards is None else self.shards.state_of(self.optimizer)

    @contextmanager
    def in_pieces(self) -> Iterator[None]:
        """Within this context, which lies in that of `storing`, parameters have the shapes that the state has."""
        with nullcontext() if self.shards is None else self.shards.in_place():
            yield

    @property
    def precision(self) -> HalfPrecision | None:
        """How the step computes gradients in half precision, if it does."""
        found: HalfPrecision | None = getattr(self.step, "keywords", {}).get("precision")
        return found

    def take_step(self, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Take one training step. Returns the loss, a 0-dim tensor, and its weight in a mean over batches."""
        with SubnormalNumbersAsZero():
            return self.step(self.net, self.loss, self.optimizer, inputs, targets)

    def advance(self, interval: Interval, record: Mapping[str, float] | None = None) -> None:
        """Move a schedule on that counts batches, after a "batch", or one that counts epochs, after an "epoch".

        record: the epoch's line of the history; a schedule that follows a number of it is given that number, and
            stays where it is in an epoch without it.
        """
        if self.schedule is not None:
            advance(self.schedule, self.schedule.interval, self.schedule.monitor, interval, record)


def advance(
    schedule: Any, counts: Interval, monitor: str | None, passed: Interval, record: Mapping[str, float] | None
) -> None:
    """Move a schedule on, ours or PyTorch's, if it counts what has passed, as `Setup.advance` says."""
    if counts != passed:
        return
    if monitor is None:
        schedule.step()
    elif record is not None and monitor in record:
        schedule.step(record[monitor])


def _require_kinds(setup: Setup) -> None:
    kinds = {"net": Module, "loss": Module, "optimizer": Optimizer, "batches": Batches}
    for name, kind in {**kinds, **({} if setup.schedule is None else {"schedule": Schedule})}.items():
        require_kind("Setup", name, getattr(setup, name), kind)


def _require_trained(net: Module, optimizer: Optimizer) -> None:
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(id(parameter) in trained for parameter in net.param()):
        raise ArgumentError(
            f"Setup: optimizer must hold parameters of the net, got none of {type(net).__name__}'s; "
            f"build it with {type(optimizer).__name__}(net.param(), ...)"
        )


def _require_lists(batches: Batches, take_step: TakeStep) -> None:
    if (batches.accumulate > 1) != accumulates(take_step):
        raise ArgumentError(
            "Setup: step must be step_accumulated where several batches make one step, and only there, "
            f"got {getattr(take_step, '__name__', type(take_step).__name__)} for accumulate = {batches.accumulate}"
        )


def _require_driven(optimizer: Optimizer, schedule: Schedule | None) -> None:
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ArgumentError(
            f"Setup: schedule must be one of the optimizer that is trained with, got a {type(schedule).__name__} of "
            f"another {type(schedule.optimizer).__name__}; build it with {type(schedule).__name__}(optimizer, ...)"
        )
    if schedule is not None and schedule.monitor is not None and schedule.interval == "batch":
        raise ArgumentError(
            f"Setup: schedule must count epochs if it depends on a number of the history, got a "
            f"{type(schedule).__name__} that counts batches and follows {schedule.monitor!r}"
        )
