"""Schedules in an experiment: nested ones, functions by name, what they count; checked, trained, beside PyTorch."""

import json
import math

import pytest

from mytorch.experiments import ExperimentError, load_experiment, train_experiment
from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.build import build
from mytorch.experiments.parity import compare
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.optim import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR

EPOCHS, BATCHES = 6, 3
WARM_UP = {"type": "LinearLR", "start_factor": 0.1, "total_iters": 2}


def experiment(schedule, optimizer=None):
    return {
        "name": "scheduled",
        "epochs": EPOCHS,
        "batch_size": 20,
        "data": {"train": {"type": "Disk", "samples": 60}},
        "model": {"type": "Sequential", "layers": [{"type": "Linear", "in_features": 2, "out_features": 2}]},
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": optimizer or {"type": "SGD", "lr": 0.5, "momentum": 0.9},
        "schedule": schedule,
    }


def in_front_of(schedule, milestone=2):
    return {"type": "SequentialLR", "milestones": [milestone], "schedulers": [WARM_UP, schedule]}


def scheduled(schedule):
    return build(load_experiment(experiment(schedule))).setup.schedule


def test_a_warm_up_in_front_of_a_schedule_that_learns_the_length_of_its_piece():
    schedule = scheduled(in_front_of("CosineAnnealingLR"))
    assert isinstance(schedule, SequentialLR)
    first, second = schedule.schedulers
    assert isinstance(first, LinearLR)
    assert isinstance(second, CosineAnnealingLR)
    assert (schedule.milestones, second.T_max, schedule.interval) == ([2], EPOCHS - 2, "epoch")


def test_what_a_schedule_counts_holds_for_those_in_it():
    schedule = scheduled({**in_front_of("CosineAnnealingLR", 5), "interval": "batch"})
    assert {schedule.interval, *(piece.interval for piece in schedule.schedulers)} == {"batch"}
    assert schedule.schedulers[1].T_max == EPOCHS * BATCHES - 5
    assert scheduled({**WARM_UP, "interval": "batch"}).interval == "batch"
    assert LinearLR.interval == "epoch"


def test_nests_within_nests():
    inner = {"type": "ChainedScheduler", "schedulers": ["ConstantLR", {"type": "PolynomialLR", "power": 2.0}]}
    schedule = scheduled(in_front_of(inner))
    constant, polynomial = schedule.schedulers[1].schedulers
    assert isinstance(constant, ConstantLR)
    assert (polynomial.power, polynomial.total_iters) == (2.0, EPOCHS - 2)


def test_the_learning_rates_of_a_run(tmp_path):
    run = train_experiment(experiment(in_front_of({"type": "LambdaLR", "lr_lambda": "math:exp"})), output=tmp_path)
    rates = [record["lr"] for record in run.history]
    assert rates == pytest.approx([0.05, 0.275, *(0.5 * math.exp(step) for step in range(4))])
    again = load_experiment(run.path / "experiment.toml")
    assert again.schedule.schedulers[1] == {"type": "LambdaLR", "lr_lambda": "math:exp"}


ALONE = [
    {"type": "LambdaLR", "lr_lambda": ["math:exp"]},
    {"type": "MultiplicativeLR", "lr_lambda": "math:sqrt"},
    {"type": "CyclicLR", "base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4, "scale_fn": "math:sqrt"},
    {"type": "SWALR", "swa_lr": 0.05, "anneal_epochs": 3},
    {"type": "CosineAnnealingWarmRestarts", "T_0": 2, "interval": "batch"},
    {"type": "PolynomialLR"},
    in_front_of({"type": "ExponentialLR", "gamma": 0.9}),
    {**in_front_of("PolynomialLR", 5), "interval": "batch"},
    {**in_front_of({"type": "SWALR", "swa_lr": 0.1}), "interval": "batch"},
    {"type": "ChainedScheduler", "schedulers": [WARM_UP, "PolynomialLR"]},
]


@pytest.mark.parametrize("schedule", ALONE, ids=json.dumps)
def test_beside_pytorch(schedule):
    assert "scheduled" in check_experiment(experiment(schedule))
    assert compare(load_experiment(experiment(schedule))).passed


def test_a_warm_up_in_front_of_a_plateau_which_pytorch_does_not_take(tmp_path):
    content = experiment(in_front_of({"type": "ReduceLROnPlateau", "patience": 0, "threshold": 10.0}))
    content["data"]["split"] = {"validation": 0.3}
    run = train_experiment(content, output=tmp_path, quiet=True)
    assert [record["lr"] for record in run.history] == pytest.approx([0.05, 0.275, 0.5, 0.05, 0.005, 0.0005])
    with pytest.raises(ParityError, match=r"must be one that PyTorch takes, too, got SequentialLR: .*Plateau"):
        compare(load_experiment(content))


@pytest.mark.parametrize("optimizer", ["Adam", "NAdam"])
def test_a_cycle_of_betas_beside_pytorch(optimizer):
    schedule = {"type": "OneCycleLR", "max_lr": 0.1}
    assert compare(load_experiment(experiment(schedule, {"type": optimizer}))).passed


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ({"type": "LambdaLR", "lr_lambda": "exp"}, r"^schedule\.lr_lambda: must be an installed function as 'package"),
        ({"type": "LambdaLR", "lr_lambda": "math:expo"}, r"got 'math:expo' \(AttributeError: "),
        ({"type": "LambdaLR", "lr_lambda": ["no_such_module:f"]}, r"schedule\.lr_lambda\.0: .*ModuleNotFoundError"),
        ({"type": "LambdaLR", "lr_lambda": "math:pi"}, r"got 'math:pi' \(it names no function\)"),
        (
            {"type": "LambdaLR", "lr_lambda": "math:log"},
            r"^schedule: LambdaLR does not take .*math domain error",
        ),
        ({**WARM_UP, "interval": "step"}, r"^schedule\.interval: must be 'batch' or 'epoch', got 'step'"),
        ({"type": "SequentialLR", "milestones": [2]}, r"^schedule\.schedulers: must be given for SequentialLR"),
        ({**in_front_of("ConstantLR"), "schedulers": "ConstantLR"}, r"^schedule\.schedulers: must be a list of sched"),
        (in_front_of({"gamma": 0.9}), r"^schedule\.schedulers\.1: must be a table with a type, got \{'gamma'"),
        (in_front_of({"type": "StepLR"}), r"^schedule\.schedulers\.1\.step_size: must be given for StepLR"),
        (
            in_front_of({"type": "StepLR", "step_size": "a"}),
            r"^schedule\.schedulers\.1\.step_size: must be a whole number, got 'a'",
        ),
        (in_front_of({"type": "StepLR", "step_size": 0}), r"^schedule\.schedulers\.1: StepLR: step_size must be an"),
        (
            in_front_of({"type": "CyclicLR", "base_lr": 0.1, "max_lr": 0.2}),
            r"^schedule: SequentialLR: .*one interval",
        ),
        (
            {"type": "SequentialLR", "milestones": [], "schedulers": [WARM_UP] * 2},
            "^schedule: SequentialLR: milestones",
        ),
        (in_front_of({"type": "StepLR", "optimizer": 1}), r"^schedule\.schedulers\.1\.optimizer: is filled in by"),
    ],
)
def test_what_is_refused(schedule, text):
    with pytest.raises(ExperimentError, match=text):
        build(load_experiment(experiment(schedule)))
    with pytest.raises(ExperimentError, match=text):
        check_experiment(experiment(schedule))


def test_arguments_are_checked_where_there_is_no_optimizer():
    broken = experiment(in_front_of({"type": "StepLR", "step_sice": 3}), {"type": "SGD", "lr": -1.0})
    with pytest.raises(ExperimentError) as info:
        check_experiment(broken)
    assert "optimizer: SGD: lr must be at least 0" in str(info.value)
    assert "schedule.schedulers.1.step_sice: StepLR has no argument 'step_sice'" in str(info.value)
