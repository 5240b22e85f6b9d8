"""SequentialLR and ChainedScheduler against torch, and what they do that torch's do not."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from schedule_pairs import optimizers
from torch.optim import lr_scheduler as theirs
from torch.optim import swa_utils

import mytorch.optim as ours
from mytorch.core import ArgumentError, Parameter, StateError

STEPS = 300
Build = Callable[[Any, Any], Any]


def kinds(draw: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Every kind of schedule with drawn settings, first those that go to a learning rate of their own."""
    up, down = draw.uniform(0.01, 1), draw.uniform(0.1, 1)
    mode = draw.choice(["triangular", "triangular2", "exp_range"])
    cycle = {"step_size_up": draw.randint(1, 70), "mode": mode, "gamma": draw.uniform(0.98, 1)}
    strategy = draw.choice(["cos", "linear"])
    swa = {"swa_lr": draw.choice([0.05, [0.3, 0.02]]), "anneal_epochs": draw.randint(0, 60)}
    return [
        ("CyclicLR", {"base_lr": 0.01, "max_lr": [0.2, 0.3], **cycle}),
        ("SWALR", {**swa, "anneal_strategy": strategy}),
        ("ConstantLR", {"factor": draw.uniform(0.1, 1), "total_iters": draw.randint(1, 40)}),
        ("LinearLR", {"start_factor": up, "total_iters": draw.randint(1, 60)}),
        ("LinearLR", {"start_factor": 1.0, "end_factor": down, "total_iters": draw.randint(1, 60)}),
        ("ExponentialLR", {"gamma": draw.uniform(0.9, 1.01)}),
        ("StepLR", {"step_size": draw.randint(1, 50), "gamma": draw.uniform(0.3, 1)}),
        ("MultiStepLR", {"milestones": [draw.randint(1, 250) for _ in range(3)], "gamma": draw.uniform(0.1, 1)}),
        ("CosineAnnealingLR", {"T_max": draw.randint(2, 350), "eta_min": draw.choice([0.0, 0.02])}),
        ("PolynomialLR", {"total_iters": draw.randint(1, 350), "power": draw.choice([0.5, 1.0, 2.0])}),
        ("CosineAnnealingWarmRestarts", {"T_0": draw.randint(1, 60), "T_mult": draw.randint(1, 3)}),
        ("LambdaLR", {"lr_lambda": [lambda step: 1 / (1 + step), lambda step: 0.99**step]}),
        ("MultiplicativeLR", {"lr_lambda": lambda step: 1 - 0.1 / (1 + step)}),
    ]


GOALS = 2
KINDS = [name for name, _ in kinds(random.Random(0))]


def simple(draw: random.Random, goals: bool = True) -> Build:
    """A schedule of drawn kind and settings, to be built from our module or torch's."""
    return one_of(*draw.choice(kinds(draw)[0 if goals else GOALS :]))


def one_of(name: str, settings: dict[str, Any]) -> Build:
    """A schedule of this kind, to be built from our module or torch's."""

    def build(kind: Any, optimizer: Any) -> Any:
        schedule = getattr(kind if hasattr(kind, name) else swa_utils, name)(optimizer, **settings)
        schedule.interval = "epoch"  # CyclicLR counts batches, and all in a list must count the same
        return schedule

    return build


def sequential(draw: random.Random) -> Build:
    count = draw.randint(2, 4)
    pieces = [simple(draw) for _ in range(count)]
    milestones = sorted(draw.sample(range(1, 200), count - 1))
    return lambda kind, o: kind.SequentialLR(o, [piece(kind, o) for piece in pieces], milestones=milestones)


def chained(draw: random.Random, *first: Build) -> Build:
    # chained, torch's CyclicLR begins with the optimizer's learning rate in the place of base_lr, and SWALR may
    # come below 0, from where an optimizer's state is refused
    pieces = [*first, *(simple(draw, goals=False) for _ in range(draw.randint(1, 3)))]
    return lambda kind, o: kind.ChainedScheduler([piece(kind, o) for piece in pieces], o)


def alone(place: int) -> Callable[[random.Random], Build]:
    return lambda draw: one_of(*kinds(draw)[place])


BUILDS: dict[str, Callable[[random.Random], Build]] = {
    **{f"{name} {place}": alone(place) for place, name in enumerate(KINDS)},
    "sequential": sequential,
    "chained": chained,
    "chain that begins with a sequence": lambda draw: chained(
        draw, sequential(draw)
    ),  # torch forgets others before it
}


def rates(optimizer: Any) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", BUILDS)
def test_equal_to_torch_step_for_step_and_resumed_in_the_middle(kind: str, seed: int) -> None:
    draw = random.Random(f"{kind} {seed}")
    build, stop = BUILDS[kind](draw), draw.randint(1, STEPS - 1)
    mine, other = optimizers()
    schedule, twin = build(ours, mine), build(theirs, other)
    assert rates(mine) == pytest.approx(rates(other), rel=1e-12)
    for step in range(STEPS):
        if step == stop:
            state = json.loads(json.dumps(schedule.state_dict()))
            optimizer_state = mine.state_dict()
            mine, _ = optimizers()
            schedule = build(ours, mine)
            mine.load_state_dict(optimizer_state)
            schedule.load_state_dict(state)
            assert rates(mine) == pytest.approx(rates(other), rel=1e-9, abs=1e-12)
        other.step()  # torch warns otherwise
        schedule.step()
        twin.step()
        assert rates(mine) == pytest.approx(rates(other), rel=1e-9, abs=1e-12), (step, stop)
        assert schedule.get_last_lr() == rates(mine)


def test_a_sequence_of_sequences_is_one_sequence() -> None:
    draw = random.Random(3)
    one, two, three = simple(draw), simple(draw), simple(draw)
    flat, nested = optimizers()[0], optimizers()[0]
    expected = ours.SequentialLR(flat, [piece(ours, flat) for piece in (one, two, three)], milestones=[7, 30])
    inner = ours.SequentialLR(nested, [one(ours, nested), two(ours, nested)], milestones=[7])
    schedule = ours.SequentialLR(nested, [inner, three(ours, nested)], milestones=[30])
    for _ in range(60):
        assert rates(nested) == pytest.approx(rates(flat), rel=1e-12)
        expected.step()
        schedule.step()


def test_a_sequence_that_begins_with_a_chain() -> None:
    draw = random.Random(4)
    one, two, three = simple(draw), simple(draw), simple(draw)
    alone, nested, last = optimizers()[0], optimizers()[0], optimizers()[0]
    chain = ours.ChainedScheduler([one(ours, alone), two(ours, alone)])
    inner = ours.ChainedScheduler([one(ours, nested), two(ours, nested)])
    schedule, end = ours.SequentialLR(nested, [inner, three(ours, nested)], milestones=[20]), three(ours, last)
    for step in range(60):
        assert rates(nested) == pytest.approx(rates(alone if step < 20 else last), rel=1e-12)
        schedule.step()
        if step != 19:  # after which the last piece begins with its step 0
            (chain if step < 19 else end).step()


def warm_up_and_plateau(optimizer: Any, **settings: Any) -> Any:
    warm_up = ours.LinearLR(optimizer, 0.1, total_iters=4)
    plateau = ours.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, **settings)
    return ours.SequentialLR(optimizer, [warm_up, plateau], milestones=[4])


def test_a_warm_up_in_front_of_a_plateau() -> None:
    optimizer, _ = optimizers(1)
    schedule = warm_up_and_plateau(optimizer)
    assert (schedule.monitor, schedule.interval) == ("validation_loss", "epoch")
    seen = []
    for metric in (9.0, None, 9.0, 9.0, 5.0, 6.0, 7.0, 4.0, 3.0):
        schedule.step(metric)
        seen.append(rates(optimizer)[0])
    assert seen == pytest.approx([0.0325, 0.055, 0.0775, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])
    with pytest.raises(ArgumentError, match=r"^ReduceLROnPlateau: step must be given the value of"):
        schedule.step()
    assert schedule.last_epoch == 9


def test_a_plateau_in_a_chain_is_given_the_metric() -> None:
    optimizer, _ = optimizers(1)
    pieces = [ours.ExponentialLR(optimizer, 0.9), ours.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)]
    schedule = ours.ChainedScheduler(pieces)
    for metric in (3.0, 4.0):
        schedule.step(metric)
    assert rates(optimizer)[0] == pytest.approx(0.1 * 0.9**2 * 0.5)
    with pytest.raises(ArgumentError, match="step must be given the value of 'validation_loss', got none"):
        schedule.step()
    assert rates(optimizer)[0] == pytest.approx(0.1 * 0.9**2 * 0.5)
    assert [piece.last_epoch for piece in pieces] == [2, 2]


def test_momentum_of_a_cycle_in_a_sequence_is_resumed() -> None:
    def build(optimizer: Any) -> Any:
        cycle = ours.OneCycleLR(optimizer, 0.3, total_steps=20)
        steps = ours.OneCycleLR(optimizer, 0.1, total_steps=20)
        return ours.SequentialLR(optimizer, [cycle, steps], milestones=[10])

    first, second = optimizers()[0], optimizers()[0]
    schedule, again = build(first), build(second)
    assert schedule.interval == "batch"
    for _ in range(5):
        schedule.step()
    again.load_state_dict(schedule.state_dict())
    for _ in range(8):
        pairs = zip(first.param_groups, second.param_groups, strict=True)
        assert all((a["lr"], a["momentum"]) == (b["lr"], b["momentum"]) for a, b in pairs)
        schedule.step()
        again.step()


def test_the_last_step_is_asked_of_those_that_it_comes_to() -> None:
    optimizer, _ = optimizers()
    first, last = (ours.OneCycleLR(optimizer, 0.1, total_steps=10) for _ in range(2))
    schedule = ours.SequentialLR(optimizer, [first, last], milestones=[11])
    schedule.require_step(21)  # 10 of each
    with pytest.raises(ArgumentError, match=r"^OneCycleLR: step must be at most total_steps = 10, got 11; build it"):
        schedule.require_step(22)
    early = ours.SequentialLR(optimizer, [first, last], milestones=[12])
    early.require_step(10)
    with pytest.raises(ArgumentError, match="got 11; build it for as many steps as the run takes"):
        early.require_step(12)
    chain = ours.ChainedScheduler([ours.ExponentialLR(optimizer, 0.9), ours.StepLR(optimizer, 3)])
    chain.require_step(10**9)
    both = ours.ChainedScheduler([first, last])
    both.require_step(10)
    with pytest.raises(ArgumentError, match="got 11; build it for as many steps as the run takes"):
        both.require_step(11)


def test_a_rate_that_is_a_tensor_is_changed_in_place() -> None:
    lr = torch.tensor(0.1, dtype=torch.float64)
    optimizer = ours.SGD([Parameter(torch.ones(2))], lr)
    schedule = ours.SequentialLR(
        optimizer, [ours.ConstantLR(optimizer, 0.5), ours.ExponentialLR(optimizer, 0.5)], milestones=[2]
    )
    for expected in (0.05, 0.05, 0.1, 0.05):
        assert optimizer.param_groups[0]["lr"] is lr
        assert lr.item() == pytest.approx(expected)
        schedule.step()


def own(optimizer: Any) -> Any:
    return ours.ExponentialLR(optimizer, 0.5)


REFUSED: list[tuple[Callable[[Any, Any], Any], str]] = [
    (
        lambda o, _: ours.SequentialLR(o, [], []),
        r"SequentialLR: milestones must be one fewer than the 0 schedulers, got 0",
    ),
    (lambda o, _: ours.SequentialLR(o, own(o), []), "SequentialLR: schedulers must be a list of at least one, got <"),
    (
        lambda o, _: ours.SequentialLR(o, [own(o)] * 2, [3]),
        "SequentialLR: schedulers must be different objects, got one",
    ),
    (lambda o, _: ours.SequentialLR(o, [own(o), 3], [3]), "SequentialLR: schedulers must hold schedules, got 3 at 1"),
    (
        lambda o, p: ours.SequentialLR(o, [own(o), own(p)], [3]),
        r"SequentialLR: schedulers must all be of its optimizer, got a ExponentialLR of another SGD at 1; build it "
        r"with ExponentialLR\(optimizer, \.\.\.\)",
    ),
    (lambda o, _: ours.SequentialLR(o, [own(o), own(o)], [3, 5]), "one fewer than the 2 schedulers, got 2"),
    (
        lambda o, _: ours.SequentialLR(o, [own(o), own(o)], [0]),
        r"milestones\[0\] must be an integer of at least 1, got 0",
    ),
    (lambda o, _: ours.SequentialLR(o, [own(o), own(o)], 3), "milestones must be a list of integers, got 3"),
    (lambda o, _: ours.SequentialLR(o, [own(o), own(o), own(o)], [5, 5]), r"milestones must increase, got \[5, 5\]"),
    (
        lambda o, _: ours.SequentialLR(o, [own(o), ours.OneCycleLR(o, 0.1, 10)], [3]),
        "SequentialLR: schedulers must have one interval, got 'epoch' and 'batch'",
    ),
    (
        lambda o, _: ours.ChainedScheduler(
            [ours.ReduceLROnPlateau(o), ours.ReduceLROnPlateau(o, monitor="validation_error_rate")]
        ),
        "ChainedScheduler: schedulers must have one monitor, got 'validation_loss' and 'validation_error_rate'",
    ),
    (lambda o, p: ours.ChainedScheduler([own(o)], p), "ChainedScheduler: schedulers must all be of its optimizer"),
    (lambda _, __: ours.ChainedScheduler([]), r"ChainedScheduler: schedulers must be a list of schedules, got \[\]"),
    (lambda _, __: ours.ChainedScheduler([3]), r"ChainedScheduler: schedulers must be a list of schedules, got \[3\]"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_what_is_refused(build: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build(optimizers()[0], optimizers()[0])


def test_a_state_that_does_not_fit_is_refused_with_every_difference_and_changes_nothing() -> None:
    optimizer = optimizers()[0]
    schedule = warm_up_and_plateau(optimizer)
    schedule.step()
    state, before = json.loads(json.dumps(schedule.state_dict())), (schedule.state_dict(), rates(optimizer))
    wrong = dict(state, last_epoch=-3, _schedulers=[state["_schedulers"][1]] * 2)
    with pytest.raises(
        StateError, match=r"^SequentialLR: state .*last_epoch must .*_schedulers\.0: type must be 'LinearLR'"
    ):
        schedule.load_state_dict(wrong)
    with pytest.raises(StateError, match="_schedulers must be 2, got 1"):
        schedule.load_state_dict(dict(state, _schedulers=state["_schedulers"][:1]))
    broken = json.loads(json.dumps(state))
    broken["_schedulers"][1]["memory"] = {}
    with pytest.raises(StateError, match=r"_schedulers\.1: memory must hold best, bad_steps, cooldown_left, got {}"):
        schedule.load_state_dict(broken)
    with pytest.raises(StateError, match="missing: _schedulers"):
        schedule.load_state_dict({name: value for name, value in state.items() if name != "_schedulers"})
    with pytest.raises(StateError, match="type must be 'SequentialLR', got 'ChainedScheduler'"):
        schedule.load_state_dict(dict(state, type="ChainedScheduler"))
    assert (schedule.state_dict(), rates(optimizer)) == before
