"""Containers: modules that hold others, and what takes their outputs apart."""

from mytorch.nn.container.add import Add
from mytorch.nn.container.checkpoint import Checkpoint
from mytorch.nn.container.concatenate import Concatenate
from mytorch.nn.container.module_dict import ModuleDict
from mytorch.nn.container.module_list import ModuleList
from mytorch.nn.container.parallel import Parallel
from mytorch.nn.container.residual import Residual
from mytorch.nn.container.reversible import Reversible, ReversibleSequence
from mytorch.nn.container.sequential import Sequential
from mytorch.nn.container.take import Take
from mytorch.nn.container.variational_autoencoder import VariationalAutoencoder

__all__ = [
    "Add",
    "Checkpoint",
    "Concatenate",
    "ModuleDict",
    "ModuleList",
    "Parallel",
    "Residual",
    "Reversible",
    "ReversibleSequence",
    "Sequential",
    "Take",
    "VariationalAutoencoder",
]
