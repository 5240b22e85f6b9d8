"""Schedules against torch.optim.lr_scheduler, step for step."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

import mytorch.optim as ours
from mytorch.core import ArgumentError, Optimizer, Parameter, Schedule, StateError

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


def swalr(kind: Any, optimizer: Any, *arguments: Any) -> Any:
    cls = kind.SWALR if kind is ours else torch.optim.swa_utils.SWALR
    return cls(optimizer, *arguments)


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


MAKERS: dict[str, Make] = {
    "ConstantLR": lambda kind, optimizer: kind.ConstantLR(optimizer, 0.5, 4),
    "LinearLR": lambda kind, optimizer: kind.LinearLR(optimizer, 0.1, 1.0, 7),
    "ExponentialLR": lambda kind, optimizer: kind.ExponentialLR(optimizer, 0.8),
    "MultiStepLR": lambda kind, optimizer: kind.MultiStepLR(optimizer, [2, 6], 0.5),
    "StepLR": lambda kind, optimizer: kind.StepLR(optimizer, 3),
    "CosineAnnealingLR": lambda kind, optimizer: kind.CosineAnnealingLR(optimizer, 10),
    "OneCycleLR": lambda kind, optimizer: kind.OneCycleLR(optimizer, 0.3, 12),
    "PolynomialLR": lambda kind, optimizer: kind.PolynomialLR(optimizer, 8, 2.0),
    "CosineAnnealingWarmRestarts": lambda kind, optimizer: kind.CosineAnnealingWarmRestarts(optimizer, 3, 2),
    "LambdaLR": lambda kind, optimizer: kind.LambdaLR(optimizer, lambda step: 0.9**step),
    "MultiplicativeLR": lambda kind, optimizer: kind.MultiplicativeLR(optimizer, lambda step: 0.9 + 0.01 * step),
    "CyclicLR": lambda kind, optimizer: kind.CyclicLR(optimizer, 0.05, 0.3, 4, mode="triangular2"),
    "SWALR": lambda kind, optimizer: swalr(kind, optimizer, 0.05, 7),
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


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"SWALR"}))
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
        "PolynomialLR": (8, 2.0),
        "CosineAnnealingWarmRestarts": (3, 2),
        "LambdaLR": (lambda step: 0.9**step,),
        "MultiplicativeLR": (lambda step: 0.9 + 0.01 * step,),
        "CyclicLR": (0.05, 0.3, 4, None, "triangular2"),
    }[name]
    getattr(ours, name)(mine, *arguments, last_epoch=3)
    assert [group["lr"] for group in mine.param_groups] == [group["lr"] for group in expected]


EXCHANGED: dict[str, Make] = {
    **MAKERS,
    "SequentialLR": lambda kind, o: kind.SequentialLR(
        o,
        [kind.LinearLR(o, 0.1, total_iters=4), kind.StepLR(o, 3, 0.5), swalr(kind, o, 0.01, 5)],
        milestones=[4, 9],
    ),
    "ChainedScheduler": lambda kind, o: kind.ChainedScheduler(
        [kind.ConstantLR(o, 0.5, 9), kind.MultiplicativeLR(o, lambda _: 0.9)], o
    ),
    "ReduceLROnPlateau": lambda kind, o: kind.ReduceLROnPlateau(o, "min", 0.5, 1, cooldown=1),
}


@pytest.mark.parametrize("stop", [0, 1, 5, 10])
@pytest.mark.parametrize("name", EXCHANGED)
def test_state_goes_to_torch_and_back(name: str, stop: int) -> None:
    make = EXCHANGED[name]
    metric = (lambda step: [1 / min(step + 1, 3)]) if name == "ReduceLROnPlateau" else (lambda _: [])
    mine, other = optimizers()
    schedule, twin = make(ours, mine), make(theirs, other)

    def go(steps: range) -> None:
        for step in steps:
            other.step()
            schedule.step(*metric(step))
            twin.step(*metric(step))
            assert_same_settings(mine, other)

    go(range(stop))
    states = [copy.deepcopy(held.state_dict()) for held in (mine, schedule, other, twin)]
    mine, other = optimizers()
    schedule, twin = make(ours, mine), make(theirs, other)
    mine.load_state_dict(states[2])
    schedule.load_state_dict(states[3])
    other.load_state_dict(states[0])
    twin.load_state_dict(states[1])
    assert_same_settings(mine, other)
    assert schedule.get_last_lr() == pytest.approx(twin.get_last_lr(), rel=1e-12)
    go(range(stop, 12))


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        ("StepLR", lambda o: theirs.StepLR(o, 5), "step_size must be 3, got 5"),
        ("StepLR", lambda o: theirs.ReduceLROnPlateau(o), "a schedule without a metric, got one of ReduceLROnPlateau"),
        ("ReduceLROnPlateau", lambda o: theirs.StepLR(o, 5), "it must be of ReduceLROnPlateau, got one without best,"),
        ("SequentialLR", lambda o: EXCHANGED["ChainedScheduler"](theirs, o), "_schedulers must be 3, got 2"),
        ("SequentialLR", lambda o: theirs.StepLR(o, 3), "_schedulers must be a list of states, got None"),
        ("CosineAnnealingWarmRestarts", lambda o: theirs.StepLR(o, 3), r"T_cur and T_i must be \(0, 3\) at step 0"),
    ],
)
def test_a_state_of_torch_that_does_not_fit_is_refused(name: str, other: Make, message: str) -> None:
    schedule = EXCHANGED[name](ours, optimizers()[0])
    before = schedule.state_dict()
    with pytest.raises(StateError, match=message):
        schedule.load_state_dict(other(optimizers()[1]).state_dict())
    with pytest.raises(StateError, match="it must have 2 groups, got 3"):
        schedule.load_state_dict(EXCHANGED[name](theirs, optimizers(3)[1]).state_dict())
    assert schedule.state_dict() == before


SAME_STATE = {"LambdaLR", "MultiplicativeLR"}
"""Which keep the same in torch: nothing of a function."""


@pytest.mark.parametrize("name", EXCHANGED)
def test_a_state_of_torch_of_every_other_kind_is_refused(name: str) -> None:
    schedule = EXCHANGED[name](ours, optimizers()[0])
    for other in EXCHANGED.keys() - {name} - (SAME_STATE if name in SAME_STATE else set()):
        state = EXCHANGED[other](theirs, optimizers()[1]).state_dict()
        with pytest.raises(StateError, match=f"^{name}: state must be that of a {name}; "):
            schedule.load_state_dict(state)


@pytest.mark.parametrize(
    ("mine", "other", "message"),
    [
        (
            lambda o: ours.OneCycleLR(o, 0.3, 12),
            lambda o: theirs.OneCycleLR(o, 0.3, 12, anneal_strategy="linear"),
            "anneal_strategy must be 'cos', got 'linear'",
        ),
        (
            lambda o: ours.OneCycleLR(o, 0.3, 12),
            lambda o: theirs.OneCycleLR(o, 0.3, 12, three_phase=True),
            r"the phases must end at the steps \[2\.[56]\d*, 11\.0\], got \[2\.[56]\d*, 5\.[12]\d*, 11\]",
        ),
        (
            lambda o: ours.SWALR(o, 0.1, 5),
            lambda o: swalr(theirs, o, 0.1, 5, "linear"),
            "anneal_strategy must be 'cos', got 'linear'",
        ),
        (
            lambda o: ours.ExponentialLR(o, 0.5),
            lambda o: theirs.StepLR(o, 4, 0.5),
            "it must be of ExponentialLR, got one with step_size",
        ),
    ],
)
def test_a_state_of_torch_with_other_arguments_is_refused(mine: Any, other: Any, message: str) -> None:
    with pytest.raises(StateError, match=message):
        mine(optimizers()[0]).load_state_dict(other(optimizers()[1]).state_dict())


def test_what_another_version_of_torch_adds_and_is_off_is_left_out() -> None:
    state = theirs.StepLR(optimizers()[1], 3).state_dict()
    schedule = ours.StepLR(optimizers()[0], 3)
    schedule.load_state_dict({**state, "new": False, "verbose": True, "newer": None})
    with pytest.raises(StateError, match=r"it must be of StepLR, got one with new$"):
        schedule.load_state_dict({**state, "new": 0.5})


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("StepLR", {"initial": [{"lr": 0.1}, {"lr": "fast"}]}, "initial must be a list of settings with a finite lr, got"),
    ("StepLR", {"initial": [{"lr": float("inf")}] * 2}, "initial must be a list of settings with a finite lr, got"),
    ("OneCycleLR", {"initial": [{"lr": 0.1}] * 2}, "its settings give KeyError: 'max_lr'"),
    ("OneCycleLR", {"last_epoch": 13}, "OneCycleLR: step must be at most total_steps = 12, got 13; build it for"),
    ("SWALR", {"settings": [{"lr": 0.1}, {}]}, "settings must hold lr, and lr be finite, got"),
    ("SWALR", {"settings": [{"lr": float("nan")}] * 2}, "settings must hold lr, and lr be finite, got"),
    ("ReduceLROnPlateau", {"memory": {"best": "a", "bad_steps": 0, "cooldown_left": 0}}, "best of memory must be a "),
    (
        "ReduceLROnPlateau",
        {"memory": {"best": None, "bad_steps": 1.5, "cooldown_left": 0}},
        "bad_steps of memory must",
    ),
]
TORCHS: list[tuple[str, dict[str, Any], str]] = [
    ("StepLR", {"_last_lr": None}, "_last_lr must be a list of finite numbers, got None"),
    ("StepLR", {"base_lrs": "ab"}, "base_lrs must be a list of finite numbers, got 'ab'"),
    ("CosineAnnealingWarmRestarts", {"last_epoch": "a"}, "last_epoch must be an integer, got 'a'"),
    ("ReduceLROnPlateau", {"best": "a"}, "best must be a number, got 'a'"),
    ("ReduceLROnPlateau", {"num_bad_epochs": -1}, "num_bad_epochs must be an integer of at least 0, got -1"),
]


@pytest.mark.parametrize("case", [*BROKEN, *TORCHS], ids=str)
def test_a_state_of_other_values_is_refused_and_nothing_changes(case: tuple[str, dict[str, Any], str]) -> None:
    name, change, message = case
    mine, other = optimizers()
    schedule, twin = EXCHANGED[name](ours, mine), EXCHANGED[name](theirs, other)
    state = (twin if case in TORCHS else schedule).state_dict()
    before = copy.deepcopy((schedule.state_dict(), mine.state_dict()))
    with pytest.raises(StateError, match=f"^{name}: state must be that of a {name}; .*{message}"):
        schedule.load_state_dict({**state, **change})
    assert (schedule.state_dict(), mine.state_dict()) == before


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
            "StepLR: step must be given no metric, since this schedule depends on none, got 0.5",
        ),
        (lambda o: ours.ConstantLR(o, 1.5), "ConstantLR: factor must be between 0 and 1, got 1.5"),
        (
            lambda o: ours.ConstantLR(o, total_iters=0),
            "ConstantLR: total_iters must be an integer of at least 1, got 0",
        ),
        (
            lambda o: ours.LinearLR(o, 0.0),
            "LinearLR: start_factor must be above 0, got 0; no factor raises",
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
        (lambda o: ours.OneCycleLR(o, 0.1, 9, cycle_momentum=1), "cycle_momentum must be True or False, got 1"),
        (lambda o: ours.PolynomialLR(o, 0), "PolynomialLR: total_iters must be an integer of at least 1, got 0"),
        (lambda o: ours.PolynomialLR(o, 3, -1.0), "PolynomialLR: power must be at least 0, got -1.0"),
        (lambda o: ours.CosineAnnealingWarmRestarts(o, 0), "T_0 must be an integer of at least 1, got 0"),
        (lambda o: ours.CosineAnnealingWarmRestarts(o, 3, 1.5), "T_mult must be an integer of at least 1, got 1.5"),
        (lambda o: ours.CosineAnnealingWarmRestarts(o, 3, 1, -1), "eta_min must be at least 0, got -1"),
        (lambda o: ours.LambdaLR(o, 0.5), "LambdaLR: lr_lambda must be a function of the step, got 0.5"),
        (lambda o: ours.LambdaLR(o, [abs]), "LambdaLR: lr_lambda must have one function for each of 2 groups, got 1"),
        (lambda o: ours.LambdaLR(o, lambda step: -1 - step), r"LambdaLR: lr_lambda\(0\) must be at least 0, got -1"),
        (lambda o: ours.LambdaLR(o, lambda _: None), r"LambdaLR: lr_lambda\(0\) must be a number, got None"),
        (lambda o: ours.LambdaLR(torch.optim.SGD([torch.ones(2)]), abs), "LambdaLR: optimizer must be an Optimizer,"),
        (
            lambda o: ours.MultiplicativeLR(o, lambda _: float("inf")).step(),
            r"MultiplicativeLR: lr_lambda\(1\) must be finite, got inf",
        ),
        (lambda o: ours.CyclicLR(o, 0.1, 0.2, 0), "CyclicLR: step_size_up must be an integer of at least 1, got 0"),
        (lambda o: ours.CyclicLR(o, 0.1, 0.2, 5, 0), "CyclicLR: step_size_down must be an integer of at least 1"),
        (lambda o: ours.CyclicLR(o, 0.1, [0.2], 5), "CyclicLR: max_lr must have one number for each of 2 groups"),
        (lambda o: ours.CyclicLR(o, -0.1, 0.2, 5), "CyclicLR: base_lr must be at least 0, got -0.1"),
        (
            lambda o: ours.CyclicLR(o, 0.1, 0.2, mode="square"),
            "mode must be one of triangular, triangular2,",
        ),
        (lambda o: ours.CyclicLR(o, 0.1, 0.2, scale_fn=3), "CyclicLR: scale_fn must be a function, got 3"),
        (
            lambda o: ours.CyclicLR(o, 0.1, 0.2, scale_fn=lambda x: -x),
            r"CyclicLR: scale_fn\(1\) must be at least 0, got -1",
        ),
        (
            lambda o: ours.CyclicLR(ours.Adam([Parameter(torch.ones(2))]), 0.1, 0.2, max_momentum=1.0),
            "CyclicLR: max_momentum must be below 1 for betas, got 1.0",
        ),
        (lambda o: ours.SWALR(o, -0.1), "SWALR: swa_lr must be at least 0, got -0.1"),
        (lambda o: ours.SWALR(o, 0.1, -1), "SWALR: anneal_epochs must be an integer of at least 0, got -1"),
        (lambda o: ours.SWALR(o, 0.1, 3, "step"), "SWALR: anneal_strategy must be one of cos, linear, got 'step'"),
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
    with pytest.raises(ArgumentError, match="OneCycleLR: optimizer must have momentum or betas, got Plain; pass"):
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


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda o: ours.ExponentialLR(o, 1e200), "ExponentialLR: lr at step 2 must be finite, got .*out of range"),
        (
            lambda o: ours.MultiplicativeLR(o, lambda _: 1e200),
            "MultiplicativeLR: lr at step 2 must be finite, got",
        ),
        (lambda o: ours.LambdaLR(o, lambda step: 10.0 ** (200 * step)), "LambdaLR: lr at step 2 must be finite, got"),
    ],
)
def test_a_learning_rate_that_is_infinite_is_refused_and_the_schedule_stays(make: Any, text: str) -> None:
    optimizer = ours.SGD([{"params": [Parameter(torch.ones(1))], "lr": lr} for lr in (0.0, 1.0)])
    schedule = make(optimizer)
    schedule.step()
    before = schedule.state_dict()
    with pytest.raises(ArgumentError, match=text):
        schedule.step()
    assert schedule.state_dict() == before
