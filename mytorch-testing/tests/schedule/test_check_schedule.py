"""Wrong schedules, each beside a right twin: the check that names the fault fails it and passes the twin."""

import pytest
import torch

from mytorch.core import ArgumentError, RecursiveSchedule, Schedule
from mytorch.core.schedule import assign
from mytorch.testing import SCHEDULE_CHECKS, CheckError, check_schedule


class Halves(Schedule):
    """The right twin.  lr(t) = lr(0) / 2 ** floor(t / 4)"""

    def settings(self, step, initial):
        return {"lr": initial["lr"] * 0.5 ** (step // 4)}


class OneStepLate(Halves):
    def settings(self, step, initial):
        return super().settings(max(step - 1, 0), initial)


class Recursive(Halves):
    def settings(self, step, initial):
        lr = self.optimizer.param_groups[0]["lr"]
        return {"lr": lr * (0.5 if step and step % 4 == 0 else 1.0)}


class WritesInitial(Halves):
    def settings(self, step, initial):
        found = super().settings(step, initial)
        initial["seen"] = step
        return found


class FirstGroupsRate(Halves):
    def settings(self, step, initial):
        return super().settings(step, self.initial[0] if getattr(self, "initial", None) else initial)


class NotAtOnce(Halves):
    def __init__(self, optimizer):
        super().__init__(optimizer)
        optimizer.param_groups[0]["lr"] = 0.0


class ForgetsPlace(Halves):
    def load_state_dict(self, state):
        pass


class ReplacesTensor(Halves):
    def advance(self, metric, chained):
        for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
            group.update(self.settings(self.last_epoch, initial))


class GoesBelowZero(Halves):
    def settings(self, step, initial):
        return {"lr": initial["lr"] - 0.02 * step}


class TellsTheFirst(Halves):
    def get_last_lr(self):
        return self.base_lrs


class OddInterval(Halves):
    interval = "step"


class OddLength(Halves):
    length_argument = "total"


class ClearsGradients(Halves):
    def step(self, metric=None):
        super().step(metric)
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.zero_()


class KeepsTensors(Halves):
    def state_dict(self):
        return {**super().state_dict(), "seen": torch.zeros(2)}


class TakesAnyState(Halves):
    def load_state_dict(self, state):
        self.last_epoch = state.get("last_epoch", 0)


class TakesAnyMetric(Halves):
    def step(self, metric=None):
        super().step()


class OtherName(Halves):
    def settings(self, step, initial):
        return {"rate": 0.1}


def step_lr(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)


WRONG = [
    (OneStepLate, "reference", "lr of group 0 at step 4 must equal the reference's, got 0.1 instead of 0.05"),
    (NotAtOnce, "at_construction", "lr must be that of step 0 after construction, 0.1, got 0"),
    (Recursive, "closed_formula", "lr of group 0 at step .* must be a function of the step alone"),
    (WritesInitial, "closed_formula", "settings must leave `initial` as it is"),
    (FirstGroupsRate, "groups_apart", "lr of group 1 at step 0 must be what the group gets alone"),
    (ForgetsPlace, "state_round_trip", "must be the same from loaded state as without a stop"),
    (KeepsTensors, "state_plain", "state_dict must hold what JSON can hold, got Object of type Tensor"),
    (TakesAnyState, "state_foreign", "a state of another kind must raise a StateError, got none"),
    (TakesAnyMetric, "metric_unwanted", "step must refuse a metric where monitor is None, got no error"),
    (ReplacesTensor, "tensor_in_place", "an lr that is a tensor must be changed in place"),
    (GoesBelowZero, "sensible", "lr at step 6 must be finite and not negative"),
    (TellsTheFirst, "last_lr", "get_last_lr must be"),
    (OddInterval, "declared", "interval must be 'batch' or 'epoch', got 'step'"),
    (OddLength, "declared", "length_argument must be one of optimizer, last_epoch, got 'total'"),
    (ClearsGradients, "nothing_else", "a schedule must change nothing but what settings names"),
]


@pytest.mark.parametrize(("wrong", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_schedule_fails_where_its_twin_passes(wrong, check, text):
    named = {"checks": (check,), "reference": step_lr}
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}: {check}: .*{text}.*reproduce: check_schedule"):
        check_schedule(wrong, **named)
    assert check_schedule(Halves, **named).passed == [check]


def test_the_right_twin_passes_all():
    report = check_schedule(Halves, reference=step_lr)
    assert report.passed == [check.__name__ for check in SCHEDULE_CHECKS]


class Follows(RecursiveSchedule):
    """Halves the learning rate whenever the metric is above 0.5."""

    monitor = "validation_loss"

    def begin(self, chained=False):
        self.last_epoch, self.memory = 0, {"halved": 0}

    def advance(self, metric, chained):
        if metric > 0.5:
            self.memory["halved"] += 1
            for group in self.optimizer.param_groups:
                assign(group, {"lr": float(group["lr"]) / 2})


class ForgetsMemory(Follows):
    """Stops after two halvings, and counts anew once its state was loaded."""

    def advance(self, metric, chained):
        if self.memory["halved"] < 2:
            super().advance(1.0, chained)

    def state_dict(self):
        return {**super().state_dict(), "memory": {"halved": 0}}


def test_a_schedule_that_follows_a_metric_is_given_one():
    report = check_schedule(Follows)
    assert set(report.skipped) == {"at_construction", "closed_formula"}
    assert "no formula of the step" in report.skipped["closed_formula"]
    with pytest.raises(CheckError, match=r"state_round_trip: .*must be the same from loaded state as without a stop"):
        check_schedule(ForgetsMemory, checks=("state_round_trip",))


def test_settings_that_the_optimizer_has_not():
    with pytest.raises(CheckError, match="settings must name settings of the optimizer, lr, momentum, got 'rate'"):
        check_schedule(OtherName)


def test_steps_must_be_a_count():
    with pytest.raises(ArgumentError, match="check_schedule: steps must be an integer of at least 2, got 1"):
        check_schedule(Halves, steps=1)
