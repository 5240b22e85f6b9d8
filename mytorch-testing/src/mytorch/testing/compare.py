"""Comparing two tensors, with an error that says where they differ and what that looks like."""

import torch
from torch import Tensor

from mytorch.testing.errors import CheckError


def require_close(
    what: str, actual: Tensor | None, expected: Tensor | None, rule: str, rtol: float = 1e-8, atol: float = 1e-10
) -> None:
    """Raise CheckError unless both agree; None is as good as zeros where zeros are right."""
    if actual is None and expected is None:
        return
    if actual is None or expected is None:
        present = actual if actual is not None else expected
        if present is not None and not bool(present.any()):
            return
        missing = "None (was it forgotten?)" if actual is None else "a tensor"
        largest = 0.0 if present is None else float(present.abs().max())
        raise CheckError(f"{what} must {rule}, got {missing}; largest difference {largest:.3g}")
    if actual.shape != expected.shape:
        raise CheckError(f"{what} must {rule}: shape must be {tuple(expected.shape)}, got {tuple(actual.shape)}")
    if agree(actual, expected, rtol, atol):
        return
    difference = (actual - expected).abs().nan_to_num(nan=float("inf"))
    at = int(difference.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(at), difference.shape))
    place = f" at {list(index)}" if index else ""
    raise CheckError(
        f"{what} must {rule}; largest difference {float(difference.max()):.3g}{place}, "
        f"got {float(actual.flatten()[at]):.6g} instead of {float(expected.flatten()[at]):.6g}"
        f"{_likeness(actual, expected)}"
    )


def agree(actual: Tensor, expected: Tensor, rtol: float = 1e-8, atol: float = 1e-10) -> bool:
    """Whether two tensors of one shape are as close as rounding allows."""
    return actual.numel() == 0 or torch.allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)


def _likeness(actual: Tensor, expected: Tensor) -> str:
    """What a wrong tensor looks like, where it looks like something."""
    if not (actual.isfinite().all() and expected.isfinite().all()) or not expected.any():
        return ""

    def is_like(other: Tensor) -> bool:
        return torch.allclose(actual, other, rtol=1e-5, atol=1e-8)

    if is_like(expected):
        return "; it is as inexact as float32: was a tensor made without the dtype of the input?"
    if is_like(-expected):
        return "; it has the wrong sign"
    if expected.numel() < 2:
        return ""
    if not actual.any():
        return "; it is zero throughout"
    if expected.dim() == 2 and expected.shape[0] == expected.shape[1] and is_like(expected.T):
        return "; it is transposed"
    factor = float((actual * expected).sum() / expected.square().sum())
    if factor > 0 and is_like(factor * expected):
        small = factor < 1
        times = 1 / factor if small else factor
        said = f"; it is {times:.6g} times too {'small' if small else 'large'}"
        if abs(times - round(times)) > 1e-4 * times:  # no length of an axis, by which a mean would divide
            return said
        return f"{said}: a {'mean where the sum' if small else 'sum where the mean'} belongs?"
    return ""


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN among them."""
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
