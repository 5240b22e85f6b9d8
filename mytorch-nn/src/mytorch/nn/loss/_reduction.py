"""What the losses share: reductions, and the gradient that reaches them."""

import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Loss,
    readable,
    require_choice,
    require_d_value,
    require_input,
    require_real,
)
from mytorch.core.compiling import is_compiling

REDUCTIONS = ("mean", "sum", "none")
_CPU = torch.device("cpu")
CODES = {"none": 0, "mean": 1, "sum": 2}
"""What torch's kernels call them."""


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
    return values * _as_tensor(factor, values.dtype, _CPU)


def scale_(values: Tensor, factor: float | Tensor) -> Tensor:
    """values * factor, written into the values, which nobody else may hold."""
    if type(factor) is not float or is_compiling():
        return values.mul_(factor)
    return values.mul_(_as_tensor(factor, values.dtype, _CPU))


def upstream(loss: Loss, d_value: float | Tensor, shape: torch.Size, like: Tensor) -> float | Tensor:
    """The upstream gradient of each of the numbers, of `shape`, that a loss has reduced; a wrong one is refused.

    like: a tensor of the dtype, and on the device, of those numbers.
    """
    if type(d_value) is not float:
        require_d_value(loss, d_value, shape if loss.reduction == "none" else (), like)
        d_value = torch.as_tensor(d_value, dtype=like.dtype)
    return per_element(loss.reduction, d_value, shape.numel())


def upstream_tensor(loss: Loss, d_value: float | Tensor, shape: torch.Size, like: Tensor) -> Tensor:
    """The upstream gradient for a kernel that reduces by itself, in the dtype of `like`; a wrong one is refused.

    shape: that of the value for reduction none.
    """
    require_d_value(loss, d_value, shape if loss.reduction == "none" else (), like)
    if type(d_value) is float and not is_compiling():
        given = _as_tensor(d_value, like.dtype, like.device)
    else:
        given = torch.as_tensor(d_value, dtype=like.dtype, device=like.device)
    return given.expand(shape) if loss.reduction == "none" else given


def columns_of_diagonal(diagonal: Tensor) -> Iterator[Tensor]:
    """The columns of a matrix for each sample whose diagonal holds the numbers of that sample, which are rooted."""
    flat = diagonal.reshape(len(diagonal), -1) if diagonal.dim() else diagonal.reshape(1, 1)
    root = flat.sqrt()
    for place in range(flat.shape[1]):
        column = torch.zeros_like(root)
        column[:, place] = root[:, place]
        yield column.reshape(diagonal.shape)


def drawn_share(draws: int) -> float:
    """The factor of each of so many drawn columns, whose outer products are to have the mean of one as their sum."""
    return 1 / math.sqrt(draws)


def wide(values: Tensor) -> Tensor:
    """The values in float32 if they are in half precision, which some of torch's kernels do not know."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def real(owner: object, target: Tensor, dtype: torch.dtype) -> Tensor:
    """The target as numbers of the prediction's dtype. Raises DtypeError for truth values and complex numbers."""
    require_real(owner, target, "target")
    return target.to(dtype)


def require_signs(owner: object, target: Tensor) -> None:
    """Raise ArgumentError, where the targets are `readable`, unless each is 1 or -1."""
    require_input(owner, target, "target")
    seen = readable(target)
    if seen is None or not seen.numel():
        return
    least, most = seen.abs().aminmax()  # faster than to compare each, and NaN is both then
    if not least == most == 1:
        wrong = seen[seen.abs() != 1]
        raise ArgumentError(
            f"{type(owner).__name__}: target must be 1 or -1, got {wrong[0].item()}; for targets of 0 and 1, "
            "write 2 * target - 1"
        )


def require_values(owner: object, target: Tensor, low: float, name: str = "target") -> None:
    """Raise ArgumentError, where the numbers are `readable`, unless each is at least `low`."""
    seen = readable(target)
    if seen is not None and seen.numel() and not seen.min() >= low:  # which NaN is not
        wrong = seen[~(seen >= low)]
        raise ArgumentError(f"{type(owner).__name__}: {name} must be at least {low:g}, got {wrong[0].item()}")


@functools.lru_cache(maxsize=256)
def _as_tensor(number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A 0-dim tensor; one on the CPU is taken for a number by tensors on every device."""
    with torch.inference_mode(False):
        return torch.full((), number, dtype=dtype, device=device)  # a copy from the CPU would wait for a GPU
