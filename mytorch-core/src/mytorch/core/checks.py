"""What layers and losses check about their inputs, each with an error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from mytorch.core.errors import ArgumentError, AutogradError, DtypeError, ShapeError

_autograd_allowed = ContextVar("autograd_allowed", default=False)


@contextmanager
def allow_autograd() -> Iterator[None]:
    """Let tensors that require grad through, to check a forward against autograd. Training never needs it."""
    token = _autograd_allowed.set(True)
    try:
        yield
    finally:
        _autograd_allowed.reset(token)


def require_no_grad(owner: object, x: Tensor) -> None:
    """Raise AutogradError if autograd would record what a layer does to `x`."""
    if x.requires_grad and torch.is_grad_enabled() and not _autograd_allowed.get():
        raise AutogradError(
            f"{_name(owner)}: input must not require grad, since the backward pass is written out, got a tensor "
            "with requires_grad=True; pass x.detach(), or work under torch.inference_mode()"
        )


def require_last_axis(owner: object, x: Tensor, size: int, subject: str = "input") -> None:
    """Raise ShapeError unless `x` has shape (..., size)."""
    if x.requires_grad:
        require_no_grad(owner, x)
    if x.dim() == 0 or x.shape[-1] != size:
        raise ShapeError(
            f"{_name(owner)}: last axis of {subject} must be {size}, got {_last(x)} in a tensor of {tuple(x.shape)}"
        )


def require_dimensions(owner: object, x: Tensor, *allowed: int, subject: str = "input") -> None:
    """Raise ShapeError unless the number of axes of `x` is one of those allowed."""
    require_no_grad(owner, x)
    if x.dim() not in allowed:
        rule = " or ".join(str(count) for count in allowed)
        raise ShapeError(f"{_name(owner)}: {subject} must have {rule} axes, got {x.dim()} in {tuple(x.shape)}")


def require_same_shape(owner: object, prediction: Tensor, target: Tensor) -> None:
    """Raise ShapeError unless prediction and target have one shape: broadcasting would hide a mistake."""
    if prediction.requires_grad:
        require_no_grad(owner, prediction)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{_name(owner)}: target must have the shape of the prediction, {tuple(prediction.shape)}, "
            f"got {tuple(target.shape)}{_same_count(prediction, target)}"
        )


def require_floating(owner: object, x: Tensor, subject: str = "input") -> None:
    """Raise DtypeError unless `x` holds floating-point numbers."""
    if not x.is_floating_point():
        raise DtypeError(f"{_name(owner)}: {subject} must be floating point, got {x.dtype}; convert with .float()")


def require_dtype(owner: object, x: Tensor, dtype: torch.dtype, subject: str = "input") -> None:
    """Raise DtypeError unless `x` has the dtype of the parameters that it meets."""
    if x.dtype is not dtype:
        raise DtypeError(
            f"{_name(owner)}: {subject} must have the dtype of the parameters, {dtype}, got {x.dtype}; "
            f"convert it with .to({dtype}), or the model"
        )


def require_choice(owner: object, subject: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ArgumentError unless a named option is one of its choices."""
    if value not in choices:
        raise ArgumentError(f"{_name(owner)}: {subject} must be one of {', '.join(choices)}, got {value!r}")


def require_range(
    owner: object, subject: str, value: float | Tensor, low: float = -float("inf"), high: float = float("inf")
) -> None:
    """Raise ArgumentError unless low <= value <= high (which NaN is not)."""
    if not isinstance(value, (int, float, Tensor)):
        raise ArgumentError(f"{_name(owner)}: {subject} must be a number, got {value!r}")
    if not low <= value <= high:
        rule = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise ArgumentError(f"{_name(owner)}: {subject} must be {rule}, got {value}")


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__


def _last(x: Tensor) -> str:
    return str(x.shape[-1]) if x.dim() else "no axis"


def _same_count(prediction: Tensor, target: Tensor) -> str:
    if prediction.numel() != target.numel():
        return ""
    return f"; target.reshape({', '.join(str(size) for size in prediction.shape)}) would fit"
