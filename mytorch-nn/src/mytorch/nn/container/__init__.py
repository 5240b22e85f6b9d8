"""Containers: modules that hold others."""

from mytorch.nn.container.module_dict import ModuleDict
from mytorch.nn.container.module_list import ModuleList
from mytorch.nn.container.residual import Residual
from mytorch.nn.container.sequential import Sequential

__all__ = ["ModuleDict", "ModuleList", "Residual", "Sequential"]
