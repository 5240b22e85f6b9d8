"""ReduceLROnPlateau against torch's, step for step."""

import json
import math
import random
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

import mytorch.optim as ours
from mytorch.core import ArgumentError, Parameter


def settings_of(draw: random.Random) -> dict[str, Any]:
    return {
        "mode": draw.choice(["min", "max"]),
        "factor": draw.uniform(0.1, 0.9),
        "patience": draw.randint(0, 6),
        "threshold": draw.choice([0.0, 1e-4, 0.05]),
        "threshold_mode": draw.choice(["rel", "abs"]),
        "cooldown": draw.randint(0, 4),
        "min_lr": draw.choice([0.0, 0.01, [0.02, 0.001]]),
        "eps": draw.choice([1e-8, 1e-3]),
    }


def optimizers() -> tuple[ours.SGD, torch.optim.SGD]:
    values = [torch.ones(2), torch.ones(3)]
    groups = [{"params": [Parameter(value)], "lr": 0.1 + 0.2 * i} for i, value in enumerate(values)]
    twins = [{"params": [value.clone()], "lr": 0.1 + 0.2 * i} for i, value in enumerate(values)]
    return ours.SGD(groups), torch.optim.SGD(twins)


def rates(optimizer: Any) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_torch_step_for_step_and_resumed_in_the_middle(seed: int) -> None:
    draw = random.Random(seed)
    settings, stop, level = settings_of(draw), draw.randint(1, 299), 1.0
    mine, other = optimizers()
    schedule, twin = ours.ReduceLROnPlateau(mine, **settings), theirs.ReduceLROnPlateau(other, **settings)
    for step in range(300):
        if step == stop:
            state = json.loads(json.dumps(schedule.state_dict()))
            mine, _ = optimizers()
            schedule = ours.ReduceLROnPlateau(mine, **settings)
            schedule.load_state_dict(state)
        level *= draw.uniform(0.97, 1.02)
        metric = draw.choice([level, level + draw.gauss(0, 0.1), -level, math.nan, math.inf])
        schedule.step(torch.tensor(metric, dtype=torch.float64) if step % 2 else metric)
        twin.step(metric)
        assert rates(mine) == rates(other), step
        assert (schedule.last_epoch, schedule.memory["bad_steps"]) == (twin.last_epoch, twin.num_bad_epochs)


def test_what_the_training_loop_reads() -> None:
    assert ours.ReduceLROnPlateau(optimizers()[0]).monitor == "validation_loss"
    assert ours.ReduceLROnPlateau(optimizers()[0], monitor="train_loss").monitor == "train_loss"
    assert ours.ReduceLROnPlateau.interval == "epoch"
    assert ours.StepLR.monitor is None


def test_the_learning_rate_that_another_schedule_has_set_stays() -> None:
    optimizer, _ = optimizers()
    ours.LinearLR(optimizer, 0.5)
    ours.ReduceLROnPlateau(optimizer)
    assert rates(optimizer) == pytest.approx([0.05, 0.15])


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            None,
            r"step must be given the value of 'validation_loss', got none; call step\(value\), or let fit measure it",
        ),
        ("low", "the metric must be one number, got 'low'"),
        (torch.tensor(1 + 2j), r"the metric must be one number, got tensor\(1\.\+2\.j\)"),
        (
            torch.ones((), device="meta"),
            r"the metric must be one number, got tensor\(\.\.\., device='meta', size=\(\)\)",
        ),
        (10**400, r"the metric must be one number, got 10+\.\.\.0+"),
        (torch.ones(2), r"the metric must be one number, got tensor\(\[1\., 1\.\]\)"),
    ],
)
def test_a_step_without_a_metric_changes_nothing(metric: Any, message: str) -> None:
    optimizer, _ = optimizers()
    schedule = ours.ReduceLROnPlateau(optimizer, patience=0)
    schedule.step(1.0)
    before = schedule.state_dict()
    with pytest.raises(ArgumentError, match=f"^ReduceLROnPlateau: {message}"):
        schedule.step(metric)
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "low"}, "mode must be one of min, max, got 'low'"),
        ({"threshold_mode": "relative"}, "threshold_mode must be one of rel, abs, got 'relative'"),
        ({"factor": 1.0}, "factor must be below 1, got 1.0"),
        ({"factor": -0.5}, "factor must be at least 0, got -0.5"),
        ({"factor": math.nan}, "factor must be at least -?[0-9inf]+, got nan"),
        ({"patience": -1}, "patience must be an integer of at least 0, got -1"),
        ({"patience": 2.5}, "patience must be an integer of at least 0, got 2.5"),
        ({"cooldown": True}, "cooldown must be an integer of at least 0, got True"),
        ({"min_lr": [0.1]}, "min_lr must have one number for each of 2 groups, got 1"),
        ({"min_lr": -1.0}, "min_lr must be at least 0, got -1.0"),
        ({"threshold": math.inf}, "threshold must be finite, got inf"),
        ({"eps": "small"}, "eps must be a number, got 'small'"),
        ({"monitor": None}, "monitor must be a name in the history, got None"),
    ],
)
def test_arguments_outside_their_range_raise(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^ReduceLROnPlateau: {message}"):
        ours.ReduceLROnPlateau(optimizers()[0], **settings)
