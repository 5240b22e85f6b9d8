"""Modules of mytorch in PyTorch, and modules of PyTorch in mytorch."""

from mytorch.train.interop.from_torch import from_torch
from mytorch.train.interop.torch_layer import FromTorch, FromTorchLoss
from mytorch.train.interop.torch_module import ToTorch, to_torch

__all__ = ["FromTorch", "FromTorchLoss", "ToTorch", "from_torch", "to_torch"]
