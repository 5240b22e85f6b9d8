"""Wrong callbacks, each beside a right twin: the check that names the fault fails it and passes the twin."""

import random

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.plugins import Callback, StopTraining, hookimpl
from mytorch.testing import CALLBACK_CHECKS, CheckError, check_callback


class Patience(Callback):
    """The right twin: halves the learning rate when the loss was not better for two epochs, and stops at the third."""

    def __init__(self, patience: int = 2) -> None:
        self.patience, self.best, self.since, self.drawn = patience, None, 0, []

    def training_started(self, run):
        self.best, self.since, self.drawn = None, 0, []

    def batch_ended(self, run):
        self.drawn.append(torch.rand(()) + random.random())
        run.net.weight.value.add_(1e-3 * self.drawn[-1])

    def epoch_ended(self, run, epoch, record):
        if self.best is None or record["validation_loss"] < self.best:
            self.best, self.since = record["validation_loss"], 0
            return
        self.since += 1
        run.notes["waited"] = self.since
        if self.since == self.patience:
            run.optimizer.param_groups[0]["lr"] *= 0.5
        if self.since > self.patience:
            raise StopTraining(f"no better for {self.since} epochs")

    def state_dict(self):
        return {"best": self.best, "since": self.since, "drawn": list(self.drawn)}

    def load_state_dict(self, state):
        self.best, self.since, self.drawn = state["best"], state["since"], list(state["drawn"])


class Forgets(Patience):
    """Says nothing of how long it waits already."""

    def state_dict(self):
        return {name: value for name, value in super().state_dict().items() if name != "since"}

    def load_state_dict(self, state):
        super().load_state_dict({**state, "since": 0})


class Stateless(Callback):
    """Freezes the weight after ten steps, of which no state knows."""

    seen = 0

    def batch_ended(self, run):
        self.seen += 1
        if self.seen == 10:
            run.net.weight.trainable = False


class ByTheRun(Callback):
    """Its right twin: counts by the history, which the checkpoint has."""

    def epoch_ended(self, run):
        if len(run.history) == 3:
            run.net.weight.trainable = False


class Adds(Patience):
    """Adds what it loads to what it had."""

    def training_started(self, run):
        pass

    def load_state_dict(self, state):
        super().load_state_dict({**state, "drawn": [*self.drawn, *state["drawn"]]})


class HoldsRule(Patience):
    def state_dict(self):
        return {**super().state_dict(), "rules": [abs]}


class OddKey(Patience):
    def state_dict(self):
        return {**super().state_dict(), "seen": {(1, 2): 3}}


class Raises(Patience):
    def epoch_ended(self, run, epoch, record):
        raise ZeroDivisionError("of nothing")


class RaisesInTheEnd(Patience):
    def training_failed(self, run, error):
        raise error


class Maybe(Patience):
    may_lag = "yes"


class Drifts(Patience):
    """Every object of it is another."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.number = type(self).made

    def epoch_ended(self, run, epoch, record):
        run.notes["object"] = self.number


class Extra:
    @hookimpl
    def epoch_ended(self, run, weather):
        pass


WRONG = [
    (Extra, "registers", r"a run must take it, got hook plugin 'Extra' does not fit the hooks: .*weather"),
    (Maybe, "declared", r"may_lag must be True or False, got 'yes'"),
    (Raises, "whole_run", r"epoch_ended at epoch 1, batch 0 must not raise, got ZeroDivisionError: of nothing"),
    (
        RaisesInTheEnd,
        "failed_run",
        r"training_failed at epoch 2, batch 1 must not raise, got RuntimeError: broken off by",
    ),
    (Drifts, "determinism", r"the notes must be the same in two runs under one seed"),
    (HoldsRule, "state_plain", r"must hold tensors, .* or dicts, got a builtin_function_or_method at rules.0"),
    (OddKey, "state_plain", r"got the key \(1, 2\) at seen, which is neither a string nor a whole number"),
    (Forgets, "state_decides", r"must be the same where the run is resumed at epoch 6, batch 1 as without a stop"),
    (Stateless, "state_decides", r"the weights must be the same where the run is resumed at epoch 1, batch 1 as"),
    (
        Adds,
        "state_rewinds",
        r"must be the same when a callback that was used already takes the state of epoch 2, batc",
    ),
]


@pytest.mark.parametrize(("wrong", "check", "text"), WRONG)
def test_a_fault_is_found_by_the_check_that_names_it(wrong, check, text):
    with pytest.raises(CheckError, match=rf"^{wrong.__name__}: {check}: .*{text}") as info:
        check_callback(wrong, checks=(check,))
    again = f"reproduce: check_callback(lambda: {wrong.__name__}(...), seed=0, checks=('{check}',))"
    assert again in str(info.value)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_right_twins_pass(seed):
    report = check_callback(Patience, seed=seed)
    assert report.passed == [check.__name__ for check in CALLBACK_CHECKS]
    report = check_callback(lambda: ByTheRun(), seed=seed)
    assert len(report.passed) == 6
    assert set(report.skipped.values()) == {"it has no state_dict"}


def test_each_check_has_a_callback_that_fails_it():
    assert {check for _, check, _ in WRONG} == {check.__name__ for check in CALLBACK_CHECKS}


def test_an_object_in_place_of_a_factory_is_refused():
    with pytest.raises(ArgumentError, match="check_callback: factory must build a new one at each call, got <"):
        check_callback(Patience())


class Monitors(Callback):
    """Watches a number of the history, keeps the weights of its best epoch and gives them back, as KeepBest does."""

    def __init__(self, monitor):
        self.monitor, self.best, self.kept = monitor, None, None

    def training_started(self, run):
        run.watch("Monitors", self.monitor)
        self.best, self.kept = None, None

    def epoch_ended(self, run, record):
        if self.best is None or record[self.monitor] < self.best:
            self.best, self.kept = record[self.monitor], [held.value.clone() for held in run.setup.tensors]

    def training_closing(self, run):
        for held, value in zip(run.setup.tensors, self.kept, strict=True):
            held.value.copy_(value)

    def state_dict(self):
        return {"best": self.best, "kept": self.kept}

    def load_state_dict(self, state):
        self.best, self.kept = state["best"], state["kept"]


@pytest.mark.parametrize("monitor", ["validation_loss", "test_accuracy", "train_loss"])
def test_any_number_may_be_watched(monitor):
    assert len(check_callback(lambda: Monitors(monitor)).passed) == 8


def test_a_run_has_a_folder_that_is_gone_afterwards():
    folders = []

    class Writes(Callback):
        def epoch_ended(self, run, epoch):
            (run.folder / "notes.txt").write_text(str(epoch))
            folders.append(run.folder)

    check_callback(Writes)
    assert not any(folder.exists() for folder in folders)


def test_stopping_in_the_middle_of_an_epoch_closes_it():
    class StopAt(Callback):
        def batch_ended(self, run, epoch, batch):
            if (epoch, batch) == (3, 2):
                raise StopTraining("enough")

        def epoch_ended(self, run, epoch):
            assert epoch <= 3

    assert len(check_callback(StopAt).passed) == 6


def test_a_class_is_no_callback():
    with pytest.raises(
        CheckError, match="a run must take it, got hook plugin 'Patience' must be an object, got the cl"
    ):
        check_callback(lambda: Patience)
