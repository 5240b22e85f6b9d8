"""Optimizers and learning-rate schedules."""

from mytorch.optim.chained_scheduler import ChainedScheduler
from mytorch.optim.constant_lr import ConstantLR
from mytorch.optim.cosine_annealing_lr import CosineAnnealingLR
from mytorch.optim.exponential_lr import ExponentialLR
from mytorch.optim.linear_lr import LinearLR
from mytorch.optim.multi_step_lr import MultiStepLR
from mytorch.optim.one_cycle_lr import OneCycleLR
from mytorch.optim.reduce_lr_on_plateau import ReduceLROnPlateau
from mytorch.optim.sequential_lr import SequentialLR
from mytorch.optim.sgd import SGD
from mytorch.optim.step_lr import StepLR

__all__ = [
    "SGD",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
