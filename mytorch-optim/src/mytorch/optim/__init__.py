"""Optimizers and learning-rate schedules."""

from mytorch.optim.adadelta import Adadelta
from mytorch.optim.adafactor import Adafactor
from mytorch.optim.adagrad import Adagrad
from mytorch.optim.adam import Adam, AdamW
from mytorch.optim.adamax import Adamax
from mytorch.optim.asgd import ASGD
from mytorch.optim.chained_scheduler import ChainedScheduler
from mytorch.optim.constant_lr import ConstantLR
from mytorch.optim.cosine_annealing_lr import CosineAnnealingLR
from mytorch.optim.cosine_annealing_warm_restarts import CosineAnnealingWarmRestarts
from mytorch.optim.cyclic_lr import CyclicLR
from mytorch.optim.exponential_lr import ExponentialLR
from mytorch.optim.kfac import KFAC
from mytorch.optim.lamb import LAMB
from mytorch.optim.lambda_lr import LambdaLR
from mytorch.optim.lbfgs import LBFGS
from mytorch.optim.linear_lr import LinearLR
from mytorch.optim.lion import Lion
from mytorch.optim.multi_step_lr import MultiStepLR
from mytorch.optim.multiplicative_lr import MultiplicativeLR
from mytorch.optim.muon import Muon
from mytorch.optim.nadam import NAdam
from mytorch.optim.one_cycle_lr import OneCycleLR
from mytorch.optim.parameter_groups import parameter_groups
from mytorch.optim.polynomial_lr import PolynomialLR
from mytorch.optim.radam import RAdam
from mytorch.optim.reduce_lr_on_plateau import ReduceLROnPlateau
from mytorch.optim.rmsprop import RMSprop
from mytorch.optim.rprop import Rprop
from mytorch.optim.sequential_lr import SequentialLR
from mytorch.optim.sgd import SGD
from mytorch.optim.shampoo import Shampoo
from mytorch.optim.sparse_adam import SparseAdam
from mytorch.optim.step_lr import StepLR
from mytorch.optim.swa_lr import SWALR

__all__ = [
    "ASGD",
    "KFAC",
    "LAMB",
    "LBFGS",
    "SGD",
    "SWALR",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "Lion",
    "MultiStepLR",
    "MultiplicativeLR",
    "Muon",
    "NAdam",
    "OneCycleLR",
    "PolynomialLR",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Rprop",
    "SequentialLR",
    "Shampoo",
    "SparseAdam",
    "StepLR",
    "parameter_groups",
]
