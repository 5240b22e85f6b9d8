"""Layers, containers, losses and initialisers."""

from mytorch.nn.activation import ReLU, Sigmoid, Tanh
from mytorch.nn.batch_norm import BatchNorm1d
from mytorch.nn.bce_with_logits_loss import BCEWithLogitsLoss
from mytorch.nn.cross_entropy_loss import CrossEntropyLoss
from mytorch.nn.dropout import Dropout
from mytorch.nn.flatten import Flatten
from mytorch.nn.identity import Identity
from mytorch.nn.initialize import initialize
from mytorch.nn.linear import Linear
from mytorch.nn.module_dict import ModuleDict
from mytorch.nn.module_list import ModuleList
from mytorch.nn.mse_loss import MSELoss
from mytorch.nn.residual import Residual
from mytorch.nn.sequential import Sequential

__all__ = [
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "MSELoss",
    "ModuleDict",
    "ModuleList",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "initialize",
]
