"""What the losses share: reductions, and the gradient that reaches them."""

import functools

import torch
from torch import Tensor
from torch.compiler import is_compiling

from mytorch.core import require_choice

REDUCTIONS = ("mean", "sum", "none")


def require_reduction(owner: object, reduction: str) -> None:
    """Raise ArgumentError unless `reduction` is mean, sum or none."""
    require_choice(owner, "reduction", reduction, REDUCTIONS)


def reduce(reduction: str, values: Tensor) -> Tensor:
    """The mean or the sum of a loss's elements, or the elements themselves."""
    if reduction == "mean":
        return values.mean()
    return values if reduction == "none" else values.sum()


def per_element(reduction: str, d_value: float | Tensor, count: int) -> float | Tensor:
    """The upstream gradient of each of the `count` numbers that the reduction made one."""
    return d_value * (1 / count) if reduction == "mean" and count else d_value


def scaled(values: Tensor, factor: float | Tensor) -> Tensor:
    """values * factor; of a number, torch makes a tensor at each product, at the same cost: that one is kept."""
    if type(factor) is not float or is_compiling():
        return values * factor
    return values * _as_tensor(factor, values.dtype)


@functools.lru_cache(maxsize=256)
def _as_tensor(number: float, dtype: torch.dtype) -> Tensor:
    """A 0-dim tensor on the CPU, which tensors on every device take for a number."""
    with torch.inference_mode(False):
        return torch.tensor(number, dtype=dtype, device="cpu")
