"""Comparing two tensors, with an error that says where they differ."""

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
    if actual.numel() == 0 or torch.allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True):
        return
    difference = (actual - expected).abs().nan_to_num(nan=float("inf"))
    at = int(difference.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(at), difference.shape))
    raise CheckError(
        f"{what} must {rule}; largest difference {float(difference.max()):.3g} at {list(index)}, "
        f"got {float(actual.flatten()[at]):.6g} instead of {float(expected.flatten()[at]):.6g}"
    )


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN among them."""
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
