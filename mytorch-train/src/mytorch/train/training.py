"""The training loop."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from operator import is_
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Metric,
    Module,
    Optimizer,
    Parameter,
    Quantity,
    RandomState,
    Rule,
    Schedule,
    metric_name,
    random_state,
)
from mytorch.plugins import Hooks, shown
from mytorch.train.alike import alike
from mytorch.train.batches import Batches
from mytorch.train.checkpoint.epoch_so_far import EpochSoFar
from mytorch.train.checkpoint.fingerprint import fingerprint
from mytorch.train.checkpoint.interrupts import Interrupts
from mytorch.train.checkpoint.keeper import Keeper
from mytorch.train.checkpoint.resumption import Resumption
from mytorch.train.checkpoint.state import conditions_of, load_setup_state, parts_of, setup_state
from mytorch.train.engine import Eager, Engine
from mytorch.train.errors import Interrupted, NotFiniteError
from mytorch.train.evaluation import EVALUATION_BATCH, Evaluation, judging, require_metrics, tell_outputs
from mytorch.train.finite import all_finite, find_origin, values_finite
from mytorch.train.losses import losses_of
from mytorch.train.measured import require_measured
from mytorch.train.memory.memory_step import prepare_memory
from mytorch.train.memory.saved_step import close_store
from mytorch.train.memory.weights_step import keeping_weights, prepare_weights
from mytorch.train.parallel.processes import Processes, Wishes
from mytorch.train.parallel.together import Together, require_shared
from mytorch.train.position import position_of
from mytorch.train.precision import warn_of_merged
from mytorch.train.privacy.private_step import account_of, require_privacy
from mytorch.train.quantities.watched_step import quantities_of
from mytorch.train.rules.rule_step import prepare_rule, rules_of
from mytorch.train.setup import Setup
from mytorch.train.snapshot import Snapshot
from mytorch.train.taken_by import require_taken
from mytorch.train.versions import versions_of

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
    """A training in progress, which callbacks receive, and the result when it has ended.

    It continues where the last training with the same optimizer stopped: epochs are numbered on, and so is the order
    of the batches if the seed is the same. So two trainings of one epoch equal one of two.

    setup: what is trained; `net`, `loss`, `optimizer`, `schedule` and `batches` are its parts.
    epochs: how many more epochs are trained; `epoch` is the number of the current one, `last_epoch` that of the last,
        and `complete_epochs` how many were trained from the first to the last batch.
    validation, test: the data sets to evaluate on, after epochs and once at the end. Callbacks that select use the
        validation part unless they are told otherwise.
    history: one record per epoch, such as {"epoch": 1, "lr": 0.1, "seconds": 0.2, "train_loss": 0.2,
        "train_error_rate": 0.1, "validation_loss": 0.2, "validation_error_rate": 0.1}. `train_loss` is the mean over
        the batches of the epoch during training; metrics are computed after the epoch.
    test_results: loss and metrics on the test part, {"loss": 0.2, "error_rate": 0.1}, computed once, at the end, with
        the weights that are kept; None before. The history has them only if a callback watches one of them (`watch`).
    average: what is evaluated and kept in place of the trained weights, set by callbacks such as EMA; None otherwise.
    folder: where a Recorder keeps this run; None without one.
    settings: what the user chose, by dotted name, for callbacks that write it down; an experiment fills it in.
    parallel: the processes that train together, each of which has a Training of its own; None for a single process.
    checkpoint: what saves the state of the training in a file, set by callbacks such as Recorder; None otherwise. With
        one, Ctrl-C, SIGTERM and SIGHUP end the training after the current batch, and its state is saved.
    resumed: the checkpoint from which this training continues, set by `resume`; None for a new training.
    notes: what callbacks add to the run's summary, by name; it must fit into JSON.
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
        parallel: Processes | None = None,
    ) -> None:
        _require_counts(epochs, evaluate_every, setup.batches)
        require_metrics("Training", metrics)
        self.setup, self.metrics = setup, metrics
        self.validation, self.test = validation, test
        self.test_results: Record | None = None
        self._watches_test = False
        _require_rows(self.judged)
        self.epochs, self.evaluate_every = epochs, evaluate_every
        self.hooks = hooks or Hooks()
        self.engine = engine or Eager()
        require_taken(self.engine, setup)
        prepare_rule(setup.step, setup.net, setup.loss, setup.optimizer)
        prepare_weights(setup)
        self._chosen = prepare_memory(setup.step, setup.net, setup.batches) if epochs else {}
        self._columns(list(self.judged))  # all differ
        self.parallel = parallel
        self._together = Together(parallel, setup)
        if parallel is not None:
            require_shared(self.engine, setup)
            setup.batches.share, self.hooks.first = self._together.rows, parallel.first
        if self.schedule is not None:
            if (monitor := self.schedule.monitor) is not None:
                self.watch(type(self.schedule).__name__, monitor)
            _require_length(self.schedule, epochs, len(setup.batches))
        self._position = position_of(setup.optimizer)
        self.epoch = self.complete_epochs = self._first = self._position.epoch
        self.last_epoch = self.epoch + epochs
        if not self.epoch:
            warn_of_merged(setup.batches.data)
        self.history: list[Record] = []
        self.average: Average | None = None
        self.folder: Path | None = None
        self.settings: dict[str, Any] = {}
        self.checkpoint: Keeper | None = None
        self.resumed: Resumption | None = None
        self.notes: dict[str, Any] = {}
        self.watched = [held for held in setup.tensors if isinstance(held, Parameter) or all_finite(held.value)]
        self._start = Snapshot(setup)
        self._order = setup.batches.order()
        self._at: EpochSoFar | None = None
        self._evaluations: dict[str, tuple[tuple[Any, ...], Evaluation]] = {}  # with what each was made of
        self._interrupts = Interrupts()
        self._data: dict[str, str | None] | None = None
        self._parts = parts_of(setup)
        self._others_random: list[dict[str, Any]] = []

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
        """The data sets to evaluate on, by the name of the part."""
        return {part: data for part in PARTS if (data := getattr(self, part)) is not None}

    @property
    def measured(self) -> list[str]:
        """The numbers that can be watched, in the order of the history's columns."""
        return self._columns(list(self.judged))

    @property
    def columns(self) -> list[str]:
        """The columns that a record can have besides epoch, lr and seconds, in order."""
        return self._columns([part for part in self.judged if part != "test" or self._watches_test])

    def _columns(self, parts: Sequence[str]) -> list[str]:
        names = ["loss", *map(metric_name, self.metrics)]
        judged = [f"{part}_{name}" for part in ("train", *parts) for name in names]
        found = [*judged, *(name for each in self._telling for name in each.names(self.net))]
        _require_different(found)
        return found

    @property
    def _telling(self) -> list[Quantity | Rule]:
        """What has results of its own for the history."""
        step = self.setup.step
        return [*quantities_of(step), *account_of(step), *rules_of(step)]

    def watch(self, owner: str, name: str) -> None:
        """Have a number in the record of each epoch that is evaluated; one of the test part is not, unless watched.

        owner: who watches it, for the error. Raises ArgumentError if it is not measured.
        """
        require_measured(owner, name, self.measured)
        self._watches_test |= name.startswith("test_")

    def resume(self, path: str | Path, accept_differences: bool = False, finish: bool = False) -> None:
        """Let `run` continue from a checkpoint as if that training had never ended, with the same results to the bit.

        The training must have been set up as that one was; `epochs` counts from its beginning, and may be larger.
        path: the file, or the folder of a run.
        accept_differences: continue even if versions, threads, data, metrics, processor, device, engine or step
            differ, so that numbers may differ; the differences are written into `notes`.
        finish: accept a checkpoint with no epoch left, too, to do what comes after the last epoch.
        Raises RunError, before anything changes, for a file that is not a checkpoint, for differences, and for a
        training that has no epoch left.
        """
        self.resumed = found = self._together.from_first(lambda: Resumption.read(path))
        found.require_same(self._parts, self._conditions(), accept_differences)
        self._first = self.epoch = self.complete_epochs = found.state["first"]
        self.last_epoch = self._first + self.epochs
        if not finish:
            found.require_epochs_left(self.last_epoch)

    def state_dict(self, finished: bool = False) -> dict[str, Any]:
        """Everything that decides how training goes on. It is complete between two batches alone, as for checkpoints.

        finished: whether every epoch is done, or a callback ended the training.
        """
        between = self._at is None
        return {
            **setup_state(self.setup),
            "first": self._first,
            "last": self.last_epoch,
            "epoch": self.complete_epochs,
            "finished": finished,
            "stopped": self.hooks.stopped,
            "at": None if self._at is None else self._at.state_dict(),
            "order": self.batches.order() if between else self._order,
            "epoch_random": None if between or self.batches.replayable else self._start.random.state_dict(),
            "random": random_state(self.net, self.loss).state_dict(),
            "others_random": self._others_random,
            "engine": self.engine.state_dict(),
            "callbacks": self.hooks.state_dicts(),
            "quantities": [each.state_dict() for each in quantities_of(self.setup.step)],
            "privacy": [each.state_dict() for each in account_of(self.setup.step)],
            "history": self.history,
            "notes": self.notes,
            "parts": self._parts,
            "conditions": self._conditions(),
        }

    def _conditions(self) -> dict[str, Any]:
        if self._data is None:
            parts = {"training": self.batches.data, **self.judged}
            self._data = {f"{part} data": fingerprint(data) for part, data in parts.items()}
        own = {"engine": type(self.engine).__name__.lower(), "metrics": ", ".join(map(metric_name, self.metrics))}
        own["quantities"] = ", ".join(type(each).__name__ for each in quantities_of(self.setup.step))
        return {
            **conditions_of(self.setup),
            **own,
            **self._together.conditions(),
            "shard": None if self.setup.shards is None else self.setup.shards.level,
            "evaluate_every": self.evaluate_every,
            **self._data,
        }

    def _take_up(self) -> bool:
        """Put the state of the checkpoint back. True if a callback asked to stop."""
        if self.resumed is None:
            return False
        state = self.resumed.state
        random = self._together.random_of([state["random"], *state["others_random"]])
        with self.resumed.naming():
            load_setup_state(self.setup, state)
            self.hooks.load_state_dicts(state["callbacks"])
        if state["conditions"]["quantities"] == self._conditions()["quantities"]:
            for quantity, of_quantity in zip(quantities_of(self.setup.step), state["quantities"], strict=True):
                quantity.load_state_dict(of_quantity)
        for account, spent in zip(account_of(self.setup.step), state.get("privacy", ()), strict=False):
            account.load_state_dict(spent)
        if state["conditions"]["engine"] == self._conditions()["engine"]:  # or another is accepted
            self.engine.load_state_dict(state["engine"])
        self.batches.set_order(state["order"])
        self.epoch = self.complete_epochs = state["epoch"]
        self.history, self.notes = list(state["history"]), dict(state["notes"])
        self._position.complete(self.epoch, self.batches.generator)
        if state["at"] is not None:
            self._at = EpochSoFar(losses_of(self.loss, self.setup.device))
            self._at.load_state_dict(state["at"])
            self._order = state["order"]
            at_start = state["epoch_random"]
            from_there = None if at_start is None else RandomState.from_state_dict(at_start, self.net, self.loss)
            self.batches.begin_at(self._at.batch, from_there)
        self._require_privacy()
        self.notes["resumed"] = [*self.notes.get("resumed", ()), self.resumed.note(self.epoch, self._at)]
        stop = self.hooks.notify("training_resumed", run=self)
        random.restore()
        finished, self.resumed.state = self.resumed.is_finished(self.last_epoch), {}  # the model has the tensors now
        if not finished:
            return stop
        self.hooks.stopped = self.hooks.stopped or state.get("stopped")
        return True

    def _require_privacy(self) -> None:
        """Raise ArgumentError if the steps to come would spend more privacy than there is."""
        done = 0 if self._at is None else self._at.batch
        require_privacy(self.setup, (self.last_epoch - self.epoch) * len(self.batches) - done)

    def run(self) -> None:
        """Train. On an error or Ctrl-C, callbacks are called and it is raised again; `net` keeps what was trained.

        Raises NotFiniteError if a loss or value stops being finite; `net` then holds the last good weights.
        Raises Interrupted, a KeyboardInterrupt, for a signal if there is a `checkpoint`.
        """
        with keeping_weights(self.setup.step):
            self._run()

    def _run(self) -> None:
        if self.resumed is None:
            self._require_privacy()
        input_grad = self.net.input_grad
        self.net.train()
        self.net.zero_grad()
        self.net.input_grad = False
        self._position.take_up(self.batches.generator)
        try:
            with torch.inference_mode():
                self._begin()
                self.notes |= self._chosen
                stop = self.hooks.notify("training_started", run=self)
                stop = self._together.any(self._take_up() or stop)
                self.notes |= self._chosen
                interruptible = self.checkpoint is not None or self.parallel is not None
                with self.setup.storing(), self._interrupts if interruptible else nullcontext():
                    while self.epoch < self.last_epoch and not stop:
                        stop = self._keep(self._epoch())
            self._close()
            self._together.end()
        except BaseException as error:
            self._together.leave(error)
            if self.checkpoint is not None:
                with suppress(Exception):  # what could not be written is less than what ended the training
                    self.checkpoint.close()
            if self.average is not None and not isinstance(error, NotFiniteError):
                self.average.keep(self)
            self.hooks.notify("training_failed", run=self, error=error)
            raise
        finally:
            self.engine.close()
            close_store(self.setup.step)
            self.net.zero_grad()
            self.net.input_grad = input_grad
        self.hooks.notify("training_ended", run=self)
        if self._interrupts.received is not None:
            raise Interrupted(self._interrupts.received)

    def _close(self) -> None:
        """Choose the weights that are kept, and judge them on the test part."""
        if self.average is not None:
            self.average.keep(self)
        self.hooks.notify("training_closing", run=self)
        if self.test is not None:
            self._together.share_values()
            with judging(self.net):
                self.test_results = self._judge("test", self.loss, self.test)

    def _keep(self, stop: bool) -> bool:
        """Between two epochs: keep the state where it is time, at the end, and where a signal asks to end.

        Returns whether a callback asked to stop, in any process.
        """
        wishes = self._together.settle(self._wishes(stop, within=False))
        if wishes.stop or self.epoch == self.last_epoch:
            self._write(finished=True)
            if self.parallel is not None:  # all end as the one that was signalled
                self._interrupts.received = wishes.signum or None
        elif wishes.keep or wishes.signum:
            self._write(signum=wishes.signum)
        return wishes.stop

    def _wishes(self, stop: bool = False, within: bool = True) -> Wishes:
        """What this process asks for: after a batch, or between two epochs."""
        keeper = self.checkpoint
        keep = keeper is not None and (keeper.due() or (not within and keeper.due_first()))
        return Wishes(stop, keep, self._interrupts.received or 0)

    def _keep_within(self, at: EpochSoFar, batch: int, signum: int) -> None:
        """Keep the state after a batch, if the model is there: a compiled engine may be ahead, and is there soon."""
        if not self.engine.bring_up_to_date():
            return
        at.batch = batch
        self._write(signum=signum)

    def _write(self, finished: bool = False, signum: int = 0) -> None:
        """Keep the state. Raises Interrupted for a signal, once it is written."""
        self._others_random = self._together.others_random()
        with self._together.collected(self.setup, self.checkpoint is not None):
            if self.checkpoint is not None:
                self.checkpoint.keep(lambda: self.state_dict(finished), wait=finished or bool(signum))
        if signum:
            self._interrupts.received = signum
            raise self._together.ends_all(Interrupted(signum))

    def _agree(self, stop: bool, at: EpochSoFar, batch: int) -> bool:
        """After a step of several processes: do what one of them asked for before it. True if it asked to stop."""
        assert self.parallel is not None
        agreed = self.parallel.agreed
        if agreed.keep or agreed.signum:
            self._keep_within(at, batch, agreed.signum)
        return self.parallel.agree(self._wishes(stop)).stop  # after it was kept, which is asked for no more

    def _begin(self) -> None:
        """Let several processes start alike."""
        own = {"device": self.setup.device.type, "epochs": self.epochs}
        held = [*self.setup.tensors, *(held for _, held in self.loss.named_state())]
        self._together.begin(
            lambda: versions_of(self._used()),
            lambda: {**self._parts, **self._conditions(), **own, **alike(self.setup)},
            held,
        )

    def _used(self) -> list[object]:
        """The parts that every process uses: a callback of the first one alone is not among them."""
        setup = self.setup
        parts: list[object] = [*setup.net.modules(), *setup.loss.modules(), setup.optimizer, setup.schedule]
        parts += [self.batches.data, *self.judged.values(), *self.metrics]
        return parts + [each for each in self.hooks.plugins if not getattr(each, "first_process_only", False)]

    def _judge(self, part: str, loss: Module | None, data: Any) -> Record:
        """The loss and metrics over a part of the data, within `judging`; all processes contribute to them.

        A callback may have put another data set, or other metrics, in the place of the last ones.
        """
        given = (loss, data, *self.metrics)
        before, evaluation = self._evaluations.get(part, ((), None))
        if evaluation is None or len(given) != len(before) or not all(map(is_, given, before)):
            share, gather = self._together.share, self._together.gather
            evaluation = Evaluation(self.net, loss, data, self.metrics, share=share, gather=gather)
            self._evaluations[part] = given, evaluation
        return evaluation.results()

    def _epoch(self) -> bool:
        """Train on every batch once. True if a callback asked to stop."""
        self.epoch += 1
        self._start.take()
        at = self._at
        if at is None:
            lr = float(self.optimizer.param_groups[0].get("lr", math.nan))
            self._at = at = EpochSoFar(losses_of(self.loss, self.setup.device), lr)
            self._order = self.batches.order()
        record: Record = {"epoch": self.epoch, "lr": at.lr}
        record["train_loss"], stop = self._batches(at)
        self._together.share_values()
        if self._together.some(not values_finite([held.value for held in self.setup.here(self.watched)])):
            self._not_finite("a weight or buffer", len(self.batches))
        record["seconds"] = at.seconds
        self.notes |= self.engine.notes() | self._together.notes()
        self._at, self.complete_epochs = None, self.epoch
        self.batches.begin_at(0)
        with self.setup.widened():
            stop = self._together.any(self.hooks.notify("epoch_trained", run=self, epoch=self.epoch) or stop)
            with nullcontext() if self.average is None else self.average.in_place(self):
                return self._close_epoch(record, stop)

    def _close_epoch(self, record: Record, stop: bool) -> bool:
        """Judge the model and tell of the epoch. True if a callback asked to stop."""
        for each in self._telling:
            record |= each.results()
        if self.epoch % self.evaluate_every == 0 or self.epoch == self.last_epoch or stop:
            if self.average is not None:
                self._together.share_values()  # which the average has of its own
            record |= self._evaluate()
        record = self._together.from_first(lambda: record)
        self.setup.advance("epoch", record)
        self.history.append(record)
        self._position.complete(self.epoch, self.batches.generator)
        return self.hooks.notify("epoch_ended", run=self, epoch=self.epoch, record=record) or stop

    def _batches(self, at: EpochSoFar) -> tuple[float, bool]:
        """Train on the epoch's batches. Returns the mean loss and whether a callback asked to stop."""
        listening, promptly = self.hooks.wants("batch_ended"), self.hooks.wants("batch_ended", promptly=True)
        whole = self.setup.shards is not None and self._together.some(promptly)
        losses, number, stop, keeper = at.losses, at.batch, False, self.checkpoint
        done = (self.epoch - 1 - self._first) * len(self.batches) + at.batch
        planned = (self.last_epoch - self._first) * len(self.batches)
        with closing(self.engine.steps(self.setup, promptly, done, planned)) as steps:
            for number, (value, weight) in enumerate(steps, at.batch + 1):
                if (seen := losses.add(value, weight)) is not None:
                    self._not_finite(f"the loss ({seen})", number)
                if (listening or whole) and self._tell_of_batch(number, value, whole):
                    stop = True
                    if self.parallel is None:
                        break
                if self.parallel is not None:
                    if self._agree(stop, at, number):
                        break
                elif keeper is not None and (keeper.due() or self._interrupts.received is not None):
                    self._keep_within(at, number, self._interrupts.received or 0)
        if (seen := losses.look()) is not None:
            self._not_finite(f"the loss ({seen})", number)
        if self.setup.precision is not None:
            self.setup.precision.require_range()  # which a compiled step cannot ask for
        return losses.mean(), stop

    def _tell_of_batch(self, number: int, value: Tensor, whole: bool) -> bool:
        """Tell callbacks of a batch, with whole parameters. True if one asked to stop."""
        with self.setup.whole() if whole else nullcontext():
            return self.hooks.notify("batch_ended", run=self, epoch=self.epoch, batch=number, loss=value)

    def _evaluate(self) -> Record:
        parts: dict[str, tuple[Module | None, Any]] = {}  # in the order of the history's columns
        if self.metrics:
            tell_outputs(self.metrics, self.loss)
            parts["train"] = None, self.batches.data
        for part, data in self.judged.items():
            if part != "test" or self._watches_test:
                parts[part] = self.loss, data
        if not parts:
            return {}
        with judging(self.net):
            judged = {part: self._judge(part, *given) for part, given in parts.items()}
        return {f"{part}_{name}": value for part, numbers in judged.items() for name, value in numbers.items()}

    def _not_finite(self, what: str, batch: int) -> None:
        origin = find_origin(self.setup, self._start, self._order, batch, self._together.first_found)
        self._together.share_values()
        if origin is None:
            found = "the steps could not be repeated to find the layer; the weights of the epoch's start are kept"
            seen = batch
        else:
            found = f"the first value that is not finite is {origin.where}; the weights before that step are kept"
            seen = origin.batch
        error = NotFiniteError(
            f"training: every value must stay finite, got {what} in epoch {self.epoch}, batch {seen}: {found}. "
            "A lower learning rate, another initialisation or standardised inputs usually help"
        )
        raise self._together.ends_all(error)


def _require_counts(epochs: int, evaluate_every: int, batches: Batches) -> None:
    if not type(epochs) is type(evaluate_every) is int or epochs < 0 or evaluate_every < 1:
        raise ArgumentError(
            "Training: epochs must be a whole number of at least 0 and evaluate_every one of at least 1, "
            f"got {shown(epochs)} and {evaluate_every!r}"
        )
    if epochs and not len(batches):
        raise ArgumentError("Training: data must have at least one batch, got none")


def _require_rows(judged: dict[str, Any]) -> None:
    """Raise ArgumentError for a part of the data without rows, whose loss would be NaN and improve never."""
    for part, data in judged.items():
        if not len(Batches(data, EVALUATION_BATCH)):
            raise ArgumentError(f"Training: {part} must have at least one row, got none; leave it out")


def _require_different(columns: Sequence[str]) -> None:
    """Raise ArgumentError if a quantity's result has the name of another column, of which a record holds one."""
    names = ["epoch", "lr", "seconds", *columns]
    if len({*names}) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ArgumentError(f"quantities: names must differ, got {twice!r} twice; leave out one of the two")


def _require_length(schedule: Schedule, epochs: int, batches: int) -> None:
    """Raise ArgumentError for a schedule that ends before the run."""
    schedule.require_step(schedule.last_epoch + epochs * (batches if schedule.interval == "batch" else 1))
