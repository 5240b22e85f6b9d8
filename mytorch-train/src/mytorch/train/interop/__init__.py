"""Modules of mytorch in PyTorch, and modules of PyTorch in mytorch."""

from mytorch.train.interop.from_torch import from_torch
from mytorch.train.interop.torch_layer import FromTorch
from mytorch.train.interop.torch_module import ToTorch, to_torch

__all__ = ["FromTorch", "ToTorch", "from_torch", "to_torch"]
