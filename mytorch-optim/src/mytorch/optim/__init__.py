"""Optimizers and learning-rate schedules."""

from mytorch.optim.cosine_annealing_lr import CosineAnnealingLR
from mytorch.optim.one_cycle_lr import OneCycleLR
from mytorch.optim.sgd import SGD
from mytorch.optim.step_lr import StepLR

__all__ = ["SGD", "CosineAnnealingLR", "OneCycleLR", "StepLR"]
