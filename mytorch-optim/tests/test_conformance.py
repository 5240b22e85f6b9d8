"""Every optimizer and schedule of this distribution goes through the kit."""

from importlib.metadata import entry_points

import pytest
import torch
from torch.optim import lr_scheduler

import mytorch.optim
from mytorch.optim import (
    SGD,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)
from mytorch.testing import declare_optimizer, declare_schedule


def sgd(settings):
    tags = ("maximizes",) if settings.get("maximize") else ()
    return declare_optimizer(
        lambda params: SGD(params, **settings), reference=lambda params: torch.optim.SGD(params, **settings), tags=tags
    )


test_sgd = sgd({"lr": 0.1})
test_sgd_momentum = sgd({"lr": 0.1, "momentum": 0.9})
test_sgd_dampening = sgd({"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01})
test_sgd_nesterov = sgd({"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01})
test_sgd_maximize = sgd({"lr": 0.1, "momentum": 0.9, "maximize": True})


def schedule(ours, theirs, **arguments):
    return declare_schedule(lambda o: ours(o, **arguments), reference=lambda o: theirs(o, **arguments))


test_constant_lr = schedule(ConstantLR, lr_scheduler.ConstantLR, factor=0.25, total_iters=4)
test_linear_lr = schedule(LinearLR, lr_scheduler.LinearLR, start_factor=0.25, total_iters=7)
test_exponential_lr = schedule(ExponentialLR, lr_scheduler.ExponentialLR, gamma=0.9)
test_multi_step_lr = schedule(MultiStepLR, lr_scheduler.MultiStepLR, milestones=[3, 3, 11], gamma=0.5)
test_step_lr = schedule(StepLR, lr_scheduler.StepLR, step_size=3, gamma=0.5)
test_cosine_annealing_lr = schedule(CosineAnnealingLR, lr_scheduler.CosineAnnealingLR, T_max=12, eta_min=0.01)
test_one_cycle_lr = schedule(OneCycleLR, lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=21)
test_one_cycle_lr_in_three_phases = schedule(
    OneCycleLR, lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=21, three_phase=True, anneal_strategy="linear"
)


def sequence(kind, optimizer):
    pieces = [kind.LinearLR(optimizer, 0.25, total_iters=5), kind.CosineAnnealingLR(optimizer, 14)]
    return kind.SequentialLR(optimizer, pieces, milestones=[5])


def chain(kind, optimizer):
    return kind.ChainedScheduler([kind.ConstantLR(optimizer, 0.25, 6), kind.ExponentialLR(optimizer, 0.9)], optimizer)


test_sequential_lr = declare_schedule(
    lambda o: sequence(mytorch.optim, o), reference=lambda o: sequence(lr_scheduler, o)
)
test_chained_scheduler = declare_schedule(
    lambda o: chain(mytorch.optim, o), reference=lambda o: chain(lr_scheduler, o)
)
test_reduce_lr_on_plateau = declare_schedule(
    lambda o: ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1),
    reference=lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1),
)

DECLARED = {
    SGD,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
}


@pytest.mark.parametrize("group", ["mytorch.optimizers", "mytorch.schedules"])
def test_every_part_is_declared_here(group):
    own = {entry.load() for entry in entry_points(group=group) if entry.dist.name == "mytorch-optim"}
    assert own
    assert own <= DECLARED
