"""Every optimizer and schedule of this distribution goes through the kit."""

from importlib.metadata import entry_points

import pytest
import torch
from torch.optim import lr_scheduler

from mytorch.optim import SGD, CosineAnnealingLR, OneCycleLR, StepLR
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


test_step_lr = schedule(StepLR, lr_scheduler.StepLR, step_size=3, gamma=0.5)
test_cosine_annealing_lr = schedule(CosineAnnealingLR, lr_scheduler.CosineAnnealingLR, T_max=12, eta_min=0.01)
test_one_cycle_lr = schedule(OneCycleLR, lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=21)
test_one_cycle_lr_in_three_phases = schedule(
    OneCycleLR, lr_scheduler.OneCycleLR, max_lr=0.4, total_steps=21, three_phase=True, anneal_strategy="linear"
)

DECLARED = {SGD, StepLR, CosineAnnealingLR, OneCycleLR}


@pytest.mark.parametrize("group", ["mytorch.optimizers", "mytorch.schedules"])
def test_every_part_is_declared_here(group):
    own = {entry.load() for entry in entry_points(group=group) if entry.dist.name == "mytorch-optim"}
    assert own
    assert own <= DECLARED
