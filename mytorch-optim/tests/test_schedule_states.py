"""States of schedules: a run goes on from them, also in torch, and what does not fit is refused."""

import copy
from typing import Any

import pytest
from schedule_pairs import MAKERS, Make, assert_same_settings, optimizers, swalr
from torch.optim import lr_scheduler as theirs

import mytorch.optim as ours
from mytorch.core import StateError


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
