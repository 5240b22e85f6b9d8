"""Modules of mytorch in PyTorch, and modules of PyTorch in mytorch."""

from mytorch.train.interop.torch_module import ToTorch, to_torch

__all__ = ["ToTorch", "to_torch"]
