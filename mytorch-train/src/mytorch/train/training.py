"""The training loop."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import torch

from mytorch.core import ArgumentError, Metric, Module, Optimizer, Parameter, Schedule, metric_name
from mytorch.plugins import Hooks
from mytorch.train.batches import Batches, count_rows
from mytorch.train.choose_step import TakeStep, choose_step
from mytorch.train.engine import Eager, Engine
from mytorch.train.errors import NotFiniteError
from mytorch.train.evaluation import averages, evaluate, tell_outputs
from mytorch.train.finite import all_finite, find_origin, values_finite
from mytorch.train.snapshot import Snapshot

Record = dict[str, float]


class Training:
    """A training in progress: what hooks are told about, and the result when it has ended.

    net, loss, optimizer, schedule, batches, test, metrics, epochs: what it was given.
    take_step: takes a step of the eager engine, as the options say.
    history: one record an epoch, such as {"epoch": 1, "lr": 0.1, "seconds": 0.2, "train_loss": 0.2,
        "train_error_rate": 0.1, "test_loss": 0.2, "test_error_rate": 0.1}.
        `train_loss` is the mean over the epoch's batches as they were trained on; metrics are taken after the epoch.
    notes: what hooks add to the run's summary, by name, as JSON can hold it.
    """

    def __init__(
        self,
        net: Module,
        loss: Module,
        optimizer: Optimizer,
        batches: Batches,
        *,
        epochs: int,
        schedule: Schedule | None = None,
        test: Any = None,
        metrics: Sequence[Metric] = (),
        evaluate_every: int = 1,
        hooks: Hooks | None = None,
        engine: Engine | None = None,
        clip_grad_norm: float | None = None,
        optimizer_in_backward: bool = False,
    ) -> None:
        _require_counts(epochs, evaluate_every, batches)
        _require_trained(net, optimizer)
        _require_different(metrics)
        self.net, self.loss, self.optimizer, self.schedule = net, loss, optimizer, schedule
        self.batches, self.test, self.metrics = batches, test, metrics
        self.epochs, self.evaluate_every = epochs, evaluate_every
        self.hooks = hooks or Hooks()
        self.engine = engine or Eager()
        self._clip_grad_norm = clip_grad_norm
        self.take_step: TakeStep = choose_step(optimizer, clip_grad_norm, optimizer_in_backward)
        if optimizer_in_backward:
            _require_eager(self.engine)
        self.epoch = 0
        self.history: list[Record] = []
        self.notes: dict[str, Any] = {}
        self.tensors = list(dict.fromkeys(held for _, held in net.named_state()))
        self.watched = [held for held in self.tensors if isinstance(held, Parameter) or all_finite(held.value)]
        self.order_state = batches.generator.get_state()
        self._snapshot = Snapshot(self.tensors, optimizer, schedule)

    @property
    def clip_grad_norm(self) -> float | None:
        """The bound that every step of the run is taken with; to change it, make another Training."""
        return self._clip_grad_norm

    @property
    def measured(self) -> list[str]:
        """What a record can hold beside epoch, lr and seconds, in the order of the history's columns."""
        names = ["loss", *map(metric_name, self.metrics)]
        parts = ["train"] if self.test is None else ["train", "test"]
        return [f"{part}_{name}" for part in parts for name in names]

    def run(self) -> None:
        """Train. On an error or Ctrl-C, hooks are told and it is raised again; what was trained is kept in `net`.

        Raises NotFiniteError if a loss or value stops being finite; `net` then holds the last good weights.
        """
        input_grad = self.net.input_grad
        self.net.train()
        self.net.zero_grad()
        self.net.input_grad = False
        try:
            with torch.inference_mode():
                stop = self.hooks.notify("training_started", run=self)
                while self.epoch < self.epochs and not stop:
                    stop = self._epoch()
        except BaseException as error:
            self.hooks.notify("training_failed", run=self, error=error)
            raise
        finally:
            self.net.zero_grad()
            self.net.input_grad = input_grad
        self.hooks.notify("training_ended", run=self)

    def _epoch(self) -> bool:
        """Train on every batch once. True if a hook asked to stop."""
        started = time.perf_counter()
        self.epoch += 1
        self._snapshot.take()
        self.order_state = self.batches.generator.get_state()
        record: Record = {"epoch": self.epoch, "lr": float(self.optimizer.param_groups[0].get("lr", math.nan))}
        record["train_loss"], stop = self._batches()
        if not values_finite([held.value for held in self.watched]):
            self._not_finite("a weight or buffer", len(self.batches))
        if self.schedule is not None and self.schedule.interval == "epoch":
            self.schedule.step()
        record["seconds"] = time.perf_counter() - started
        if self.epoch % self.evaluate_every == 0 or self.epoch == self.epochs or stop:
            record |= self._evaluate()
        self.history.append(record)
        return self.hooks.notify("epoch_ended", run=self, epoch=self.epoch, record=record) or stop

    def _batches(self) -> tuple[float, bool]:
        """Train on the epoch's batches. Returns the mean loss a row and whether a hook asked to stop."""
        epoch, listening, averaged = self.epoch, self.hooks.wants("batch_ended"), averages(self.loss)
        total, rows, stop = 0.0, 0, False
        with closing(self.engine.steps(self)) as steps:
            for number, (targets, value) in enumerate(steps, 1):
                here, amount = count_rows(targets), value.item()
                if not math.isfinite(amount):
                    self._not_finite(f"the loss ({amount})", number)
                total += amount * here if averaged else amount
                rows += here
                if listening and self.hooks.notify("batch_ended", run=self, epoch=epoch, batch=number, loss=value):
                    stop = True
                    break
        return total / rows if rows else math.nan, stop

    def after_batch(self) -> None:
        """Move a schedule on that counts batches."""
        if self.schedule is not None and self.schedule.interval == "batch":
            self.schedule.step()

    def _evaluate(self) -> Record:
        results: Record = {}
        if self.metrics:
            tell_outputs(self.metrics, self.loss)
            seen = self.batches.data
            results |= {f"train_{name}": value for name, value in evaluate(self.net, None, seen, self.metrics).items()}
        if self.test is not None:
            judged = evaluate(self.net, self.loss, self.test, self.metrics)
            results |= {f"test_{name}": value for name, value in judged.items()}
        return results

    def _not_finite(self, what: str, batch: int) -> None:
        origin = find_origin(self, self._snapshot, batch)
        if origin is None:
            found = "the steps could not be repeated to find the layer; the weights of the epoch's start are kept"
            seen = batch
        else:
            found = f"the first value that is not finite is {origin.where}; the weights before that step are kept"
            seen = origin.batch
        raise NotFiniteError(
            f"training: every value must stay finite, got {what} in epoch {self.epoch}, batch {seen}: {found}. "
            "A lower learning rate, another initialisation or standardised inputs usually help"
        )


def _require_counts(epochs: int, evaluate_every: int, batches: Batches) -> None:
    if not type(epochs) is type(evaluate_every) is int or epochs < 0 or evaluate_every < 1:
        raise ArgumentError(
            "Training: epochs must be a whole number of at least 0 and evaluate_every one of at least 1, "
            f"got {epochs!r} and {evaluate_every!r}"
        )
    if epochs and not len(batches):
        raise ArgumentError("Training: data must have at least one batch, got none")


def _require_trained(net: Module, optimizer: Optimizer) -> None:
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(id(parameter) in trained for parameter in net.param()):
        raise ArgumentError(
            f"Training: optimizer must hold parameters of the net, got none of {type(net).__name__}'s; "
            f"build it with {type(optimizer).__name__}(net.param(), ...)"
        )


def _require_different(metrics: Sequence[Metric]) -> None:
    names = Counter(["loss", *map(metric_name, metrics)])
    if twice := [name for name, count in names.items() if count > 1]:
        raise ArgumentError(
            f"Training: metrics must have different names, got {twice[0]} twice; give one of them another `name`"
        )


def _require_eager(engine: Engine) -> None:
    if not isinstance(engine, Eager):
        raise ArgumentError(
            "optimizer_in_backward: must be left out with the compiled engine, whose step is one function of all "
            'gradients, got engine = "compiled"; leave one of the two out'
        )
