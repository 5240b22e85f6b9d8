"""Schedules against torch.optim.lr_scheduler, step for step; their states and settings have files of their own."""

import json
import random
from typing import Any

import pytest
import torch
from schedule_pairs import MAKERS, Make, assert_same_settings, optimizers, swalr
from torch.optim import lr_scheduler as theirs

import mytorch.optim as ours
from mytorch.core import Parameter, Schedule


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


@pytest.mark.parametrize("seed", range(6))
def test_one_cycle_lr_over_300_steps(seed: int) -> None:
    draw = random.Random(seed)
    settings = {
        "total_steps": draw.randint(300, 400),
        "pct_start": draw.uniform(0.05, 0.5),
        "anneal_strategy": draw.choice(["cos", "linear"]),
        "three_phase": draw.choice([False, True]),
        "div_factor": draw.uniform(1, 50),
        "final_div_factor": draw.uniform(1, 1e5),
        "max_momentum": draw.uniform(0.85, 1),
        "cycle_momentum": draw.choice([False, True]),
    }
    assert_same_run(lambda kind, optimizer: kind.OneCycleLR(optimizer, [0.3, 1.0], **settings), 300)


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


@pytest.mark.parametrize(("total_iters", "power"), [(1, 1.0), (7, 1.0), (20, 0.5), (20, 2.0), (9, 0.0), (40, 3)])
def test_polynomial_lr(total_iters: int, power: float) -> None:
    assert_same_run(lambda kind, optimizer: kind.PolynomialLR(optimizer, total_iters, power), 25)


@pytest.mark.parametrize(("T_0", "T_mult", "eta_min"), [(1, 1, 0.0), (7, 1, 0.01), (3, 2, 0), (1, 3, 0.2), (60, 2, 0)])
def test_cosine_annealing_warm_restarts(T_0: int, T_mult: int, eta_min: float) -> None:
    assert_same_run(lambda kind, optimizer: kind.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min), 50)


FUNCTIONS: list[Any] = [
    lambda step: 1 / (1 + step),
    lambda step: 0.9**step,
    lambda _: 0,
    [lambda step: 0.5 + step % 3, lambda _: 1],
]


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_the_step(name: str, function: Any) -> None:
    assert_same_run(lambda kind, optimizer: getattr(kind, name)(optimizer, function), 25)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(
    "settings",
    [
        {"step_size_up": 7},
        {"step_size_up": 3, "step_size_down": 11, "gamma": 0.9},
        {"step_size_up": 1, "step_size_down": 1},
        {"step_size_up": 4, "base_momentum": [0.5, 0.6], "max_momentum": 0.95},
        {"step_size_up": 4, "cycle_momentum": False},
        {"step_size_up": 4, "scale_fn": lambda x: 1 / (1 + x)},
        {"step_size_up": 4, "scale_fn": lambda x: 0.99**x, "scale_mode": "iterations"},
    ],
    ids=str,
)
def test_cyclic_lr(mode: str, settings: dict[str, Any]) -> None:
    bounds = {"base_lr": [0.01, 0.2], "max_lr": 0.5}
    assert_same_run(lambda kind, optimizer: kind.CyclicLR(optimizer, **bounds, mode=mode, **settings), 60)


@pytest.mark.parametrize("anneal_strategy", ["cos", "linear"])
@pytest.mark.parametrize(("swa_lr", "anneal_epochs"), [(0.05, 10), ([0.5, 0.0], 3), (0.05, 1), (0.05, 0)])
def test_swa_lr(swa_lr: Any, anneal_epochs: int, anneal_strategy: str) -> None:
    assert_same_run(lambda kind, optimizer: swalr(kind, optimizer, swa_lr, anneal_epochs, anneal_strategy), 15)


def test_swa_lr_goes_on_from_the_rate_that_another_schedule_has_made() -> None:
    mine, other = optimizers()
    pairs = [(kind.ExponentialLR(o, 0.8), swalr(kind, o, 0.05, 6)) for kind, o in ((ours, mine), (theirs, other))]
    for step in range(30):
        other.step()
        for decay, averaging in pairs:
            (averaging if step > 12 else decay).step()
        assert_same_settings(mine, other)


CYCLES = {
    "OneCycleLR": {"max_lr": 0.3, "total_steps": 20, "base_momentum": 0.5},
    "CyclicLR": {"base_lr": 0.01, "max_lr": [0.3, 0.4], "step_size_up": 6, "mode": "triangular2"},
}


@pytest.mark.parametrize("name", CYCLES)
@pytest.mark.parametrize("optimizer", ["Adam", "NAdam", "Adamax", "RMSprop"])
def test_a_cycle_of_the_first_beta_where_an_optimizer_has_no_momentum(name: str, optimizer: str) -> None:
    values = [torch.ones(2), torch.ones(3)]
    mine = getattr(ours, optimizer)([{"params": [Parameter(value.clone())]} for value in values])
    other = getattr(torch.optim, optimizer)([{"params": [value]} for value in values])
    schedule, twin = getattr(ours, name)(mine, **CYCLES[name]), getattr(theirs, name)(other, **CYCLES[name])
    for step in range(20):
        for value, group in zip(values, mine.param_groups, strict=True):
            value.grad = torch.linspace(-1, 1, len(value))
            group["params"][0].grad = value.grad.clone()
        mine.step()
        other.step()
        schedule.step()
        twin.step()
        if step == 9:  # JSON knows no tuples
            schedule.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
        for group, theirs_ in zip(mine.param_groups, other.param_groups, strict=True):
            for key in {"lr", "momentum", "betas"} & theirs_.keys():
                assert group[key] == pytest.approx(theirs_[key], rel=1e-12)
            assert type(group.get("betas")) is type(theirs_.get("betas"))
        for value, group in zip(values, mine.param_groups, strict=True):
            torch.testing.assert_close(group["params"][0].value, value)


def test_a_second_schedule_starts_from_the_rate_before_the_first_as_in_torch() -> None:
    mine, other = optimizers()
    for kind, optimizer in ((ours, mine), (theirs, other)):
        first = kind.ExponentialLR(optimizer, 0.5)
        optimizer.step()
        first.step()
        kind.StepLR(optimizer, 3)
    assert mine.param_groups[0]["initial_lr"] == other.param_groups[0]["initial_lr"] == 0.1
    assert ours.StepLR(mine, 3).base_lrs == pytest.approx([0.1, 0.3])


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
