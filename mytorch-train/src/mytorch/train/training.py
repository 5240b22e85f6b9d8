"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch

from mytorch.core import ArgumentError, Metric, Module, Optimizer, Parameter, Schedule, metric_name
from mytorch.plugins import Hooks
from mytorch.train.batches import Batches
from mytorch.train.choose_step import is_in_backward, is_plain, name_of
from mytorch.train.engine import Eager, Engine
from mytorch.train.errors import NotFiniteError
from mytorch.train.evaluation import EVALUATION_BATCH, evaluate, require_metrics, tell_outputs
from mytorch.train.finite import all_finite, find_origin, values_finite
from mytorch.train.losses import losses_of
from mytorch.train.measured import require_measured
from mytorch.train.position import position_of
from mytorch.train.precision import warn_of_merged
from mytorch.train.setup import Setup
from mytorch.train.snapshot import Snapshot

Record = dict[str, float]
PARTS = ("validation", "test")
"""The parts of the data that a model is judged on and not trained on, in the order of the history's columns."""


class Average(Protocol):
    """What is judged and kept in place of the trained weights, as the callbacks EMA and SWA are."""

    def in_place(self, run: Training, /) -> AbstractContextManager[None]:
        """Within this context the net has what is judged."""

    def keep(self, run: Training, /) -> None:
        """Give the net the average for good."""


class Training:
    """A training in progress: what callbacks are told about, and the result when it has ended.

    It goes on where the last training with the same optimizer stopped: epochs are numbered on, and so is the order of
    the batches if the seed is the same. So two trainings of one epoch are one of two.

    setup: what is trained; `net`, `loss`, `optimizer`, `schedule` and `batches` are its parts.
    epochs: how many more epochs are trained; `epoch` is the number of the one at hand, `last_epoch` that of the last.
    validation, test: data sets to judge by; callbacks that select look at the validation part unless told otherwise.
    history: one record an epoch, such as {"epoch": 1, "lr": 0.1, "seconds": 0.2, "train_loss": 0.2,
        "train_error_rate": 0.1, "validation_loss": 0.2, "validation_error_rate": 0.1}.
        `train_loss` is the mean over the epoch's batches as they were trained on; metrics are taken after the epoch.
    average: what is judged and kept in place of the trained weights, set by callbacks such as EMA; None if nothing.
    folder: where a Recorder keeps this run; None if none does.
    settings: what the user chose, by dotted name, for callbacks that write it down; an experiment fills it.
    notes: what callbacks add to the run's summary, by name, as JSON can hold it.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        epochs: int,
        validation: Any = None,
        test: Any = None,
        metrics: Sequence[Metric] = (),
        evaluate_every: int = 1,
        hooks: Hooks | None = None,
        engine: Engine | None = None,
    ) -> None:
        _require_counts(epochs, evaluate_every, setup.batches)
        require_metrics("Training", metrics)
        self.setup, self.metrics = setup, metrics
        self.validation, self.test = validation, test
        _require_rows(self.judged)
        self.epochs, self.evaluate_every = epochs, evaluate_every
        self.hooks = hooks or Hooks()
        self.engine = engine or Eager()
        _require_taken(self.engine, setup)
        if self.schedule is not None:
            _require_schedule(self.schedule, epochs, len(setup.batches), self.measured)
        self._position = position_of(setup.optimizer)
        self.epoch = self._position.epoch
        self.last_epoch = self.epoch + epochs
        if not self.epoch:
            warn_of_merged(setup.batches.data)
        self.history: list[Record] = []
        self.average: Average | None = None
        self.folder: Path | None = None
        self.settings: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self.watched = [held for held in setup.tensors if isinstance(held, Parameter) or all_finite(held.value)]
        self._start = Snapshot(setup)
        self._order = setup.batches.generator.get_state()

    @property
    def net(self) -> Module:
        """The model."""
        return self.setup.net

    @property
    def loss(self) -> Module:
        """The quantity to minimise."""
        return self.setup.loss

    @property
    def optimizer(self) -> Optimizer:
        """What updates the model's parameters."""
        return self.setup.optimizer

    @property
    def schedule(self) -> Schedule | None:
        """What sets the learning rate, if anything does."""
        return self.setup.schedule

    @property
    def batches(self) -> Batches:
        """The training data, in the order in which it is trained on."""
        return self.setup.batches

    @property
    def judged(self) -> dict[str, Any]:
        """The data sets to judge by, by the name of the part."""
        return {part: data for part in PARTS if (data := getattr(self, part)) is not None}

    @property
    def measured(self) -> list[str]:
        """What a record can hold beside epoch, lr and seconds, in the order of the history's columns."""
        names = ["loss", *map(metric_name, self.metrics)]
        return [f"{part}_{name}" for part in ("train", *self.judged) for name in names]

    def run(self) -> None:
        """Train. On an error or Ctrl-C, callbacks are told and it is raised again; `net` keeps what was trained.

        Raises NotFiniteError if a loss or value stops being finite; `net` then holds the last good weights.
        """
        input_grad = self.net.input_grad
        self.net.train()
        self.net.zero_grad()
        self.net.input_grad = False
        self._position.take_up(self.batches.generator)
        try:
            with torch.inference_mode():
                stop = self.hooks.notify("training_started", run=self)
                while self.epoch < self.last_epoch and not stop:
                    stop = self._epoch()
        except BaseException as error:
            if self.average is not None and not isinstance(error, NotFiniteError):
                self.average.keep(self)
            self.hooks.notify("training_failed", run=self, error=error)
            raise
        finally:
            self.net.zero_grad()
            self.net.input_grad = input_grad
        if self.average is not None:
            self.average.keep(self)
        self.hooks.notify("training_ended", run=self)

    def _epoch(self) -> bool:
        """Train on every batch once. True if a callback asked to stop."""
        started = time.perf_counter()
        self.epoch += 1
        self._start.take()
        self._order = self.batches.generator.get_state()
        record: Record = {"epoch": self.epoch, "lr": float(self.optimizer.param_groups[0].get("lr", math.nan))}
        record["train_loss"], stop = self._batches()
        if not values_finite([held.value for held in self.watched]):
            self._not_finite("a weight or buffer", len(self.batches))
        record["seconds"] = time.perf_counter() - started
        stop = self.hooks.notify("epoch_trained", run=self, epoch=self.epoch) or stop
        with nullcontext() if self.average is None else self.average.in_place(self):
            return self._close_epoch(record, stop)

    def _close_epoch(self, record: Record, stop: bool) -> bool:
        """Judge the model and tell of the epoch. True if a callback asked to stop."""
        if self.epoch % self.evaluate_every == 0 or self.epoch == self.last_epoch or stop:
            record |= self._evaluate()
        self.setup.advance("epoch", record)
        self.history.append(record)
        self._position.complete(self.epoch, self.batches.generator)
        return self.hooks.notify("epoch_ended", run=self, epoch=self.epoch, record=record) or stop

    def _batches(self) -> tuple[float, bool]:
        """Train on the epoch's batches. Returns the mean loss and whether a callback asked to stop."""
        listening, promptly = self.hooks.wants("batch_ended"), self.hooks.wants("batch_ended", promptly=True)
        losses, number, stop = losses_of(self.loss, self.setup.device), 0, False
        with closing(self.engine.steps(self.setup, promptly)) as steps:
            for number, (value, weight) in enumerate(steps, 1):
                if (seen := losses.add(value, weight)) is not None:
                    self._not_finite(f"the loss ({seen})", number)
                if listening and self.hooks.notify(
                    "batch_ended", run=self, epoch=self.epoch, batch=number, loss=value
                ):
                    stop = True
                    break
        if (seen := losses.look()) is not None:
            self._not_finite(f"the loss ({seen})", number)
        return losses.mean(), stop

    def _evaluate(self) -> Record:
        results: Record = {}
        if self.metrics:
            tell_outputs(self.metrics, self.loss)
            seen = self.batches.data
            results |= {f"train_{name}": value for name, value in evaluate(self.net, None, seen, self.metrics).items()}
        for part, data in self.judged.items():
            judged = evaluate(self.net, self.loss, data, self.metrics)
            results |= {f"{part}_{name}": value for name, value in judged.items()}
        return results

    def _not_finite(self, what: str, batch: int) -> None:
        origin = find_origin(self.setup, self._start, self._order, batch)
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


def _require_rows(judged: dict[str, Any]) -> None:
    """Raise ArgumentError for a part of the data without rows, whose loss would be NaN and improve never."""
    for part, data in judged.items():
        if not len(Batches(data, EVALUATION_BATCH)):
            raise ArgumentError(f"Training: {part} must have at least one row, got none; leave it out")


def _require_schedule(schedule: Schedule, epochs: int, batches: int, measured: Sequence[str]) -> None:
    """Raise ArgumentError for a schedule that ends before the run, or follows what the run does not measure."""
    if schedule.monitor is not None:
        require_measured(type(schedule).__name__, schedule.monitor, measured)
    schedule.require_step(schedule.last_epoch + epochs * (batches if schedule.interval == "batch" else 1))


def _require_taken(engine: Engine, setup: Setup) -> None:
    """Raise ArgumentError if an engine traces the step and it is another than the plain one."""
    if isinstance(engine, Eager) or is_plain(setup.step):
        return
    if is_in_backward(setup.step):
        raise ArgumentError(
            "optimizer_in_backward: must be left out with the compiled engine, whose step is one function of all "
            'gradients, got engine = "compiled"; leave one of the two out'
        )
    raise ArgumentError(
        f"step: must be left out with the compiled engine, which compiles its own, got {name_of(setup.step)}; "
        'use engine="eager"'
    )
