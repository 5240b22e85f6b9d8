"""Schedules against torch.optim.lr_scheduler, step for step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

import mytorch.optim as ours
from mytorch.core import ArgumentError, Optimizer, Parameter, Schedule

Make = Callable[[Any, Any], Any]


def optimizers(count: int = 2, momentum: float = 0.9) -> tuple[ours.SGD, torch.optim.SGD]:
    """Groups with learning rates of their own: 0.1, 0.3, ..."""
    values = [torch.ones(2) for _ in range(count)]
    parameters = [{"params": [Parameter(value)], "lr": 0.1 + 0.2 * i} for i, value in enumerate(values)]
    twins = [{"params": [value.clone()], "lr": 0.1 + 0.2 * i} for i, value in enumerate(values)]
    return ours.SGD(parameters, 1.0, momentum), torch.optim.SGD(twins, 1.0, momentum)


def assert_same_settings(mine: Optimizer, other: torch.optim.Optimizer) -> None:
    for group, twin in zip(mine.param_groups, other.param_groups, strict=True):
        for name in ("lr", "momentum"):
            assert float(group[name]) == pytest.approx(float(twin[name]), rel=1e-12, abs=1e-15)


def assert_same_run(make: Make, steps: int, **options: Any) -> None:
    mine, other = optimizers(**options)
    schedule, twin = make(ours, mine), make(theirs, other)
    assert_same_settings(mine, other)
    for _ in range(steps):
        other.step()  # torch warns otherwise
        schedule.step()
        twin.step()
        assert_same_settings(mine, other)
        assert schedule.get_last_lr() == pytest.approx(twin.get_last_lr(), rel=1e-12, abs=1e-15)
    assert schedule.last_epoch == twin.last_epoch
    assert schedule.base_lrs == pytest.approx(twin.base_lrs, rel=1e-12)


@pytest.mark.parametrize(("step_size", "gamma"), [(1, 0.9), (3, 0.1), (7, 0.5), (100, 0.1)])
def test_step_lr(step_size: int, gamma: float) -> None:
    assert_same_run(lambda kind, optimizer: kind.StepLR(optimizer, step_size=step_size, gamma=gamma), 25)


@pytest.mark.parametrize(("T_max", "eta_min"), [(1, 0.0), (10, 0.0), (10, 0.01), (25, 0.5)])
def test_cosine_annealing_lr_also_past_its_end(T_max: int, eta_min: float) -> None:
    assert_same_run(lambda kind, optimizer: kind.CosineAnnealingLR(optimizer, T_max=T_max, eta_min=eta_min), 45)


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("anneal_strategy", ["cos", "linear"])
@pytest.mark.parametrize(("total_steps", "pct_start"), [(20, 0.3), (50, 0.25), (7, 0.4)])
def test_one_cycle_lr_to_the_step_after_the_last(
    total_steps: int, pct_start: float, anneal_strategy: str, three_phase: bool
) -> None:
    settings = {"pct_start": pct_start, "anneal_strategy": anneal_strategy, "three_phase": three_phase}
    assert_same_run(
        lambda kind, optimizer: kind.OneCycleLR(optimizer, 0.3, total_steps=total_steps, **settings), total_steps
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 4, "steps_per_epoch": 5},
        {"total_steps": 20, "cycle_momentum": False},
        {"total_steps": 20, "base_momentum": [0.5, 0.6], "max_momentum": [0.9, 0.99]},
        {"total_steps": 20, "div_factor": 10.0, "final_div_factor": 100.0},
        {"total_steps": 20, "pct_start": 0.0},
        {"total_steps": 1},
    ],
    ids=str,
)
def test_one_cycle_lr_settings(settings: dict[str, Any]) -> None:
    steps = settings.get("total_steps", 20)
    assert_same_run(lambda kind, optimizer: kind.OneCycleLR(optimizer, [0.3, 1.0], **settings), steps)


@pytest.mark.parametrize(("factor", "total_iters"), [(0.1, 1), (1 / 3, 5), (1.0, 7), (0.5, 40)])
def test_constant_lr(factor: float, total_iters: int) -> None:
    assert_same_run(lambda kind, optimizer: kind.ConstantLR(optimizer, factor, total_iters), 25)


@pytest.mark.parametrize(
    ("start", "end", "total_iters"), [(0.1, 1.0, 5), (1.0, 0.0, 7), (0.5, 0.5, 3), (1 / 3, 1.0, 40)]
)
def test_linear_lr(start: float, end: float, total_iters: int) -> None:
    assert_same_run(lambda kind, optimizer: kind.LinearLR(optimizer, start, end, total_iters), 25)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.05])
def test_exponential_lr(gamma: float) -> None:
    assert_same_run(lambda kind, optimizer: kind.ExponentialLR(optimizer, gamma), 25)


@pytest.mark.parametrize("milestones", [[], [1], [3, 9], [9, 3, 3], [0, 5]])
def test_multi_step_lr(milestones: list[int]) -> None:
    assert_same_run(lambda kind, optimizer: kind.MultiStepLR(optimizer, milestones, gamma=0.5), 15)


def test_a_second_schedule_starts_from_the_rate_before_the_first_as_in_torch() -> None:
    mine, other = optimizers()
    for kind, optimizer in ((ours, mine), (theirs, other)):
        first = kind.ExponentialLR(optimizer, 0.5)
        optimizer.step()
        first.step()
        kind.StepLR(optimizer, 3)
    assert mine.param_groups[0]["initial_lr"] == other.param_groups[0]["initial_lr"] == 0.1
    assert ours.StepLR(mine, 3).base_lrs == pytest.approx([0.1, 0.3])


MAKERS: dict[str, Make] = {
    "ConstantLR": lambda kind, optimizer: kind.ConstantLR(optimizer, 0.5, 4),
    "LinearLR": lambda kind, optimizer: kind.LinearLR(optimizer, 0.1, 1.0, 7),
    "ExponentialLR": lambda kind, optimizer: kind.ExponentialLR(optimizer, 0.8),
    "MultiStepLR": lambda kind, optimizer: kind.MultiStepLR(optimizer, [2, 6], 0.5),
    "StepLR": lambda kind, optimizer: kind.StepLR(optimizer, 3),
    "CosineAnnealingLR": lambda kind, optimizer: kind.CosineAnnealingLR(optimizer, 10),
    "OneCycleLR": lambda kind, optimizer: kind.OneCycleLR(optimizer, 0.3, 12),
}


@pytest.mark.parametrize("name", MAKERS)
def test_resumes_from_state_dict(name: str) -> None:
    make = MAKERS[name]
    first, _ = optimizers()
    schedule = make(ours, first)
    for _ in range(5):
        schedule.step()
    second, _ = optimizers()
    resumed = make(ours, second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"]
    for _ in range(4):
        schedule.step()
        resumed.step()
        for one, two in zip(first.param_groups, second.param_groups, strict=True):
            assert (one["lr"], one["momentum"]) == (two["lr"], two["momentum"])


@pytest.mark.parametrize("name", MAKERS)
def test_resumes_from_last_epoch(name: str) -> None:
    mine, _ = optimizers()
    schedule = MAKERS[name](ours, mine)
    for _ in range(4):
        schedule.step()
    expected = [dict(group) for group in mine.param_groups]
    arguments = {
        "ConstantLR": (0.5, 4),
        "LinearLR": (0.1, 1.0, 7),
        "ExponentialLR": (0.8,),
        "MultiStepLR": ([2, 6], 0.5),
        "StepLR": (3,),
        "CosineAnnealingLR": (10,),
        "OneCycleLR": (0.3, 12),
    }[name]
    getattr(ours, name)(mine, *arguments, last_epoch=3)
    assert [group["lr"] for group in mine.param_groups] == [group["lr"] for group in expected]


@pytest.mark.parametrize("name", MAKERS)
def test_changes_a_tensor_in_place(name: str) -> None:
    lr = torch.tensor(0.1, dtype=torch.float64)
    optimizer = ours.SGD([Parameter(torch.ones(2))], lr, momentum=0.9)
    twin = torch.optim.SGD([torch.ones(2)], 0.1, momentum=0.9)
    schedule, other = MAKERS[name](ours, optimizer), MAKERS[name](theirs, twin)
    for _ in range(6):
        twin.step()
        schedule.step()
        other.step()
        assert optimizer.param_groups[0]["lr"] is lr
        assert lr.item() == pytest.approx(twin.param_groups[0]["lr"], rel=1e-12)


def test_what_the_training_loop_reads() -> None:
    assert all(issubclass(getattr(ours, name), Schedule) for name in MAKERS)
    assert (ours.StepLR.interval, ours.StepLR.length_argument) == ("epoch", None)
    assert (ours.CosineAnnealingLR.interval, ours.CosineAnnealingLR.length_argument) == ("epoch", "T_max")
    assert (ours.OneCycleLR.interval, ours.OneCycleLR.length_argument) == ("batch", "total_steps")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: ours.StepLR(o, 0), "StepLR: step_size must be an integer of at least 1, got 0"),
        (lambda o: ours.StepLR(o, 2, gamma=-1.0), "StepLR: gamma must be at least 0, got -1.0"),
        (lambda o: ours.StepLR(o, 2, gamma=float("inf")), "StepLR: gamma must be finite, got inf"),
        (lambda o: ours.StepLR(o, True), "StepLR: step_size must be an integer of at least 1, got True"),
        (lambda o: ours.StepLR(o, 2, last_epoch=-2), "StepLR: last_epoch must be an integer of at least -1, got -2"),
        (lambda o: ours.StepLR(o, 2, last_epoch=1.0), "StepLR: last_epoch must be an integer of at least -1, got 1.0"),
        (
            lambda o: ours.StepLR(o, 2).step(0.5),
            "StepLR: step must be given no metric, since it follows none, got 0.5",
        ),
        (lambda o: ours.ConstantLR(o, 1.5), "ConstantLR: factor must be between 0 and 1, got 1.5"),
        (
            lambda o: ours.ConstantLR(o, total_iters=0),
            "ConstantLR: total_iters must be an integer of at least 1, got 0",
        ),
        (
            lambda o: ours.LinearLR(o, 0.0),
            "LinearLR: start_factor must be above 0, got 0; nothing can rise from there",
        ),
        (lambda o: ours.LinearLR(o, end_factor=1.5), "LinearLR: end_factor must be between 0 and 1, got 1.5"),
        (
            lambda o: ours.LinearLR(o, total_iters=2.5),
            "LinearLR: total_iters must be an integer of at least 1, got 2.5",
        ),
        (lambda o: ours.ExponentialLR(o, "half"), "ExponentialLR: gamma must be a number, got 'half'"),
        (lambda o: ours.ExponentialLR(o, -0.5), "ExponentialLR: gamma must be at least 0, got -0.5"),
        (lambda o: ours.MultiStepLR(o, 3), "MultiStepLR: milestones must be a list of integers, got 3"),
        (
            lambda o: ours.MultiStepLR(o, [3, 4.5]),
            r"MultiStepLR: milestones\[1\] must be an integer of at least 0, got",
        ),
        (lambda o: ours.OneCycleLR(o, float("nan"), 9), "OneCycleLR: max_lr must be at least 0, got nan"),
        (
            lambda o: ours.OneCycleLR(torch.optim.SGD([torch.ones(2)]), 0.1, 9),
            "OneCycleLR: optimizer must be an Optim",
        ),
        (
            lambda o: ours.CosineAnnealingLR(o, 2.5),
            "T_max must be an integer of at least 1, got 2.5",
        ),
        (lambda o: ours.CosineAnnealingLR(o, 2, -1.0), "CosineAnnealingLR: eta_min must be at least 0, got -1.0"),
        (lambda o: ours.OneCycleLR(o, 0.1), "OneCycleLR: total_steps, or both epochs and steps_per_epoch, must be"),
        (lambda o: ours.OneCycleLR(o, 0.1, epochs=3), "OneCycleLR: total_steps, or both"),
        (lambda o: ours.OneCycleLR(o, 0.1, 0), "OneCycleLR: total_steps must be an integer of at least 1, got 0"),
        (lambda o: ours.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=2), "OneCycleLR: epochs must be an integer"),
        (
            lambda o: ours.OneCycleLR(o, 0.1, 9, pct_start=1.5),
            "pct_start must be between 0 and 1, got 1.5",
        ),
        (
            lambda o: ours.OneCycleLR(o, 0.1, 9, anneal_strategy="step"),
            "OneCycleLR: anneal_strategy must be one of cos, linear, got 'step'",
        ),
        (
            lambda o: ours.OneCycleLR(o, [0.1], 9),
            "max_lr must have one number for each of 2 groups, got 1",
        ),
        (lambda o: ours.OneCycleLR(o, 0.1, 9, div_factor=0), "OneCycleLR: div_factor must be above 0, got 0"),
    ],
)
def test_arguments_outside_their_range_raise(make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(optimizers()[0])


def test_one_cycle_lr_refuses_steps_past_its_end() -> None:
    schedule = ours.OneCycleLR(optimizers()[0], 0.1, total_steps=2)
    schedule.step()
    schedule.step()
    with pytest.raises(ArgumentError, match="OneCycleLR: step must be at most total_steps = 2, got 3; build it"):
        schedule.step()


def test_one_cycle_lr_wants_momentum_to_cycle() -> None:
    class Plain(Optimizer):
        pass

    optimizer = Plain([Parameter(torch.ones(2))], {"lr": 0.1})
    with pytest.raises(ArgumentError, match="OneCycleLR: optimizer must have momentum, got Plain; pass cycle_mom"):
        ours.OneCycleLR(optimizer, 0.1, 10)
    ours.OneCycleLR(optimizer, 0.1, 10, cycle_momentum=False)


def test_goes_on_with_an_optimizer_whose_state_was_loaded() -> None:
    driven, resumed = optimizers(), optimizers()
    for kind, old, new in zip((ours, theirs), driven, resumed, strict=True):
        schedule = kind.StepLR(old, 3)
        for _ in range(4):
            old.step()
            schedule.step()
        new.load_state_dict(old.state_dict())
    schedules = [kind.StepLR(new, 3, last_epoch=4) for kind, new in zip((ours, theirs), resumed, strict=True)]
    for _ in range(5):
        assert_same_settings(*resumed)
        resumed[1].step()
        for schedule in schedules:
            schedule.step()
