"""Every optimizer and schedule of this distribution goes through the kit."""

from importlib.metadata import entry_points

import pytest
import torch
from torch.optim import lr_scheduler, swa_utils

import mytorch.optim
from mytorch.optim import (
    ASGD,
    KFAC,
    LAMB,
    LBFGS,
    SGD,
    SWALR,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    Lion,
    MultiplicativeLR,
    MultiStepLR,
    Muon,
    NAdam,
    OneCycleLR,
    PolynomialLR,
    RAdam,
    ReduceLROnPlateau,
    RMSprop,
    Rprop,
    SequentialLR,
    Shampoo,
    SparseAdam,
    StepLR,
)
from mytorch.testing import declare_optimizer, declare_schedule

SHAPES = ((3, 4), (5,), (), (1, 2))
MATRICES = ((3, 4), (5, 2), (1, 1), (3, 3))


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


def equal_to_torch(ours, *tags, shapes=SHAPES, **settings):
    theirs = getattr(torch.optim, ours.__name__, None)  # torch 2.6 has no Muon
    if settings.get("maximize"):
        tags += ("maximizes",)
    return declare_optimizer(
        lambda params: ours(params, **settings),
        reference=None if theirs is None else lambda params: theirs(params, **settings),
        tags=tags,
        shapes=shapes,
    )


test_adadelta = equal_to_torch(Adadelta)
test_adadelta_decay = equal_to_torch(Adadelta, weight_decay=0.01, rho=0.5, maximize=True)
test_adagrad = equal_to_torch(Adagrad, lr=0.1)
test_adagrad_lr_decay = equal_to_torch(Adagrad, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.5)
test_adam = equal_to_torch(Adam, lr=0.05)
test_adam_amsgrad = equal_to_torch(Adam, lr=0.05, amsgrad=True, weight_decay=0.01)
test_adam_maximize = equal_to_torch(Adam, lr=0.05, maximize=True, weight_decay=0.01)
test_adamax = equal_to_torch(Adamax, lr=0.05, weight_decay=0.01)
test_adamw = equal_to_torch(AdamW, lr=0.05)
test_adamw_amsgrad = equal_to_torch(AdamW, lr=0.05, amsgrad=True, weight_decay=0.1)
test_nadam = equal_to_torch(NAdam, lr=0.05)
test_nadam_decoupled = equal_to_torch(NAdam, lr=0.05, weight_decay=0.1, decoupled_weight_decay=True)
test_radam = equal_to_torch(RAdam, lr=0.05)
test_radam_decoupled = equal_to_torch(RAdam, lr=0.05, betas=(0.9, 0.8), weight_decay=0.1, decoupled_weight_decay=True)
test_rmsprop = equal_to_torch(RMSprop, lr=0.02)
test_rmsprop_centered = equal_to_torch(RMSprop, lr=0.02, momentum=0.5, centered=True, weight_decay=0.01)
test_asgd = equal_to_torch(ASGD, "keeps_lr", lr=0.05, t0=2)
test_rprop = equal_to_torch(Rprop, "keeps_lr", lr=0.05)
test_adafactor = equal_to_torch(Adafactor, lr=0.5)
test_adafactor_decay = equal_to_torch(Adafactor, lr=0.5, weight_decay=0.1, eps=(1e-3, 0.1), d=2.0, maximize=True)
test_muon = equal_to_torch(Muon, lr=0.05, shapes=MATRICES)
test_muon_plain = equal_to_torch(
    Muon, lr=0.05, shapes=MATRICES, nesterov=False, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
)
test_sparse_adam = declare_optimizer(lambda params: SparseAdam(params, lr=0.05))
test_lbfgs = equal_to_torch(LBFGS, lr=0.1, max_iter=4)
test_lbfgs_search = equal_to_torch(LBFGS, line_search_fn="strong_wolfe", max_iter=3, history_size=2)
test_lion = declare_optimizer(lambda params: Lion(params, lr=0.05, weight_decay=0.1))
test_kfac = declare_optimizer(
    lambda params: KFAC(params, weight_decay=0.1), tags=("mixes_parameters",)
)  # that is shown no backward
test_shampoo = declare_optimizer(lambda params: Shampoo(params, lr=0.1, momentum=0.5, weight_decay=0.1, root_every=2))
test_lamb = declare_optimizer(lambda params: LAMB(params, lr=0.05, weight_decay=0.1))


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
test_polynomial_lr = schedule(PolynomialLR, lr_scheduler.PolynomialLR, total_iters=14, power=2.0)
test_cosine_annealing_warm_restarts = schedule(
    CosineAnnealingWarmRestarts, lr_scheduler.CosineAnnealingWarmRestarts, T_0=4, T_mult=2, eta_min=0.01
)
test_lambda_lr = schedule(LambdaLR, lr_scheduler.LambdaLR, lr_lambda=lambda step: 1 / (1 + step))
test_multiplicative_lr = schedule(MultiplicativeLR, lr_scheduler.MultiplicativeLR, lr_lambda=lambda step: 1 / step)
test_cyclic_lr = schedule(CyclicLR, lr_scheduler.CyclicLR, base_lr=0.02, max_lr=0.4, step_size_up=3, step_size_down=5)
test_cyclic_lr_in_falling_cycles = schedule(
    CyclicLR, lr_scheduler.CyclicLR, base_lr=0.02, max_lr=0.4, step_size_up=3, mode="exp_range", gamma=0.9
)
test_swa_lr = schedule(SWALR, swa_utils.SWALR, swa_lr=0.02, anneal_epochs=8)


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
    KFAC,
    LAMB,
    LBFGS,
    Adafactor,
    Muon,
    Shampoo,
    SparseAdam,
    SGD,
    Rprop,
    RMSprop,
    RAdam,
    NAdam,
    Lion,
    ASGD,
    AdamW,
    Adamax,
    Adam,
    Adagrad,
    Adadelta,
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    MultiplicativeLR,
    OneCycleLR,
    PolynomialLR,
    SWALR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
}


@pytest.mark.parametrize("group", ["mytorch.optimizers", "mytorch.schedules"])
def test_every_part_is_declared_here(group):
    own = {entry.load() for entry in entry_points(group=group) if entry.dist.name == "mytorch-optim"}
    assert own
    assert own <= DECLARED
