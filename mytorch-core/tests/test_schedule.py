"""The contract of schedules, shown on one that divides by the step."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError, Optimizer, Parameter, RecursiveSchedule, Schedule, StateError


class Harmonic(Schedule):
    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, float]:
        return {"lr": initial["lr"] / (step + 1), "momentum": initial["momentum"] * step}


def optimizer(*lrs: Any) -> Optimizer:
    groups = [{"params": [Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return Optimizer(groups, {"lr": 1.0, "momentum": 0.5})


def test_step_zero_applies_on_construction_and_every_group_has_its_own() -> None:
    driven = optimizer(1.0, 6.0)
    schedule = Harmonic(driven)
    assert schedule.last_epoch == 0
    assert schedule.get_last_lr() == [1.0, 6.0]
    assert driven.param_groups[0]["momentum"] == 0.0
    schedule.step()
    schedule.step()
    assert schedule.get_last_lr() == [1 / 3, 2.0]
    assert schedule.base_lrs == [1.0, 6.0]
    assert driven.param_groups[0]["momentum"] == 1.0
    assert driven.param_groups[1]["initial_lr"] == 6.0


def test_a_setting_that_is_a_tensor_is_changed_in_place() -> None:
    lr = torch.tensor(6.0)
    driven = optimizer(lr)
    schedule = Harmonic(driven)
    schedule.step()
    assert driven.param_groups[0]["lr"] is lr
    assert lr.item() == 3.0
    assert schedule.base_lrs == [6.0]


def test_goes_on_where_another_stood() -> None:
    first = Harmonic(optimizer(6.0))
    for _ in range(4):
        first.step()
    second = Harmonic(optimizer(100.0))
    second.load_state_dict(first.state_dict())
    assert second.get_last_lr() == first.get_last_lr()
    first.step()
    second.step()
    assert second.get_last_lr() == first.get_last_lr() == [1.0]


def test_last_epoch_goes_on_with_an_optimizer_that_was_driven() -> None:
    driven = optimizer(6.0)
    Harmonic(driven)
    assert Harmonic(driven, last_epoch=1).get_last_lr() == [2.0]
    with pytest.raises(ArgumentError, match="Harmonic: last_epoch must be -1 for an optimizer that no schedule has"):
        Harmonic(optimizer(6.0), last_epoch=1)


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Harmonic: optimizer must be an Optimizer, got 3"):
        Harmonic(3)
    with pytest.raises(NotImplementedError, match="Schedule: settings must be defined"):
        Schedule(optimizer(1.0))


def test_what_the_training_loop_reads() -> None:
    assert Schedule.interval == "epoch"
    assert Schedule.length_argument is None


def test_groups_added_later_are_refused() -> None:
    driven = optimizer(1.0)
    schedule = Harmonic(driven)
    driven.add_param_group({"params": [Parameter(torch.zeros(1))]})
    with pytest.raises(ArgumentError, match="must keep its 1 parameter groups, got 2; add groups first"):
        schedule.step()


def test_an_optimizer_without_a_learning_rate_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Harmonic: optimizer must have a learning rate to schedule"):
        Harmonic(Optimizer([Parameter(torch.zeros(1))], {"momentum": 0.5}))


def test_a_schedule_goes_on_from_an_optimizer_s_state_alone() -> None:
    driven, again = optimizer(6.0), optimizer(6.0)
    schedule = Harmonic(driven)
    schedule.step()
    again.load_state_dict(driven.state_dict())
    resumed = Harmonic(again, last_epoch=1)
    schedule.step()
    assert resumed.get_last_lr() == schedule.get_last_lr() == [2.0]


class Follows(RecursiveSchedule):
    """Multiplies the learning rate by the metric and counts how often it was above 1."""

    monitor = "validation_loss"

    def begin(self, chained: bool = False) -> None:
        self.last_epoch, self.memory = 0, {"above": 0}

    def advance(self, metric: Any, chained: bool) -> None:
        self.memory["above"] += metric > 1
        for group in self.optimizer.param_groups:
            group["lr"] *= metric


def test_a_schedule_that_follows_a_metric_goes_on_where_another_stood() -> None:
    driven, again = optimizer(2.0), optimizer(100.0)
    first, second = Follows(driven), Follows(again)
    first.step(3.0)
    first.step(0.5)
    assert first.get_last_lr() == [3.0]
    state = first.state_dict()
    assert (state["memory"], state["settings"], state["last_epoch"]) == ({"above": 1}, [{"lr": 3.0}], 2)
    second.load_state_dict(state)
    first.step(2.0)
    second.step(2.0)
    assert second.get_last_lr() == first.get_last_lr() == [6.0]
    assert first.driven == {"lr"}
    assert state["memory"] == {"above": 1}


def test_the_second_form_must_be_defined() -> None:
    with pytest.raises(NotImplementedError, match="RecursiveSchedule: begin must be defined"):
        RecursiveSchedule(optimizer(1.0))


def test_a_chained_schedule_goes_on_from_the_rate_of_now() -> None:
    driven = optimizer(6.0)
    schedule = Harmonic(driven)
    driven.param_groups[0]["lr"] = 60.0  # as another schedule did
    schedule.chain()
    assert schedule.get_last_lr() == [pytest.approx(30.0)]
    schedule.chain()
    assert schedule.get_last_lr() == [pytest.approx(20.0)]
    assert schedule.driven == {"lr", "momentum"}


def test_a_state_that_does_not_fit_is_refused_with_every_difference() -> None:
    schedule = Harmonic(optimizer(6.0))
    schedule.step()
    state, before = schedule.state_dict(), schedule.get_last_lr()
    for changes, text in (
        (
            {"type": "StepLR", "last_epoch": 2.5},
            "type must be 'Harmonic', got 'StepLR'; last_epoch must be an integer",
        ),
        ({"last_epoch": -1}, "last_epoch must be an integer of at least 0, got -1"),
        ({"initial": []}, "initial must have 1 groups, got 0"),
        ({"initial": [1.0]}, "initial must be a list of settings with a finite lr, got something else"),
    ):
        with pytest.raises(StateError, match=f"^Harmonic: state must be that of a Harmonic; {text}"):
            schedule.load_state_dict({**state, **changes})
    with pytest.raises(StateError, match=r"missing: initial, last_epoch$"):
        schedule.load_state_dict({"type": "Harmonic"})
    with pytest.raises(StateError, match="it must be a dict, got list"):
        schedule.load_state_dict([])
    assert schedule.get_last_lr() == before
