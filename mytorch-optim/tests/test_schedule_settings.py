"""What the schedules accept, and refuse in words."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from schedule_pairs import optimizers

import mytorch.optim as ours
from mytorch.core import ArgumentError, Optimizer, Parameter


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
