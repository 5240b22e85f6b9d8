"""What layers and losses check about their inputs, each with an error that says what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core.errors import ArgumentError, AutogradError, ContractError, DtypeError, ShapeError
from mytorch.plugins import shown

FLOATING = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
"""The floating-point dtypes that torch computes with; in those of 8 bits and less it only stores numbers."""

_STRIDED = torch.strided  # to find a name of torch among its thousands takes longer than the check that needs it

WIDEST = 2**63 - 1
"""The largest whole number that torch takes."""

_autograd_allowed = ContextVar("autograd_allowed", default=False)


@contextmanager
def allow_autograd() -> Iterator[None]:
    """Let tensors that require grad through, to check a forward against autograd. Training never needs it."""
    token = _autograd_allowed.set(True)
    try:
        yield
    finally:
        _autograd_allowed.reset(token)


def autograd_allowed() -> bool:
    """Whether tensors that require grad are let through."""
    return _autograd_allowed.get()


def require_input(owner: object, x: Any, name: str = "x") -> None:
    """Raise ArgumentError unless `x` is a tensor; AutogradError if autograd would record what a layer does to it.

    Raises DtypeError for a tensor that is sparse, quantized or nested: most of torch's kernels do not know it.
    """
    if not isinstance(x, Tensor):
        raise ArgumentError(
            f"{_name(owner)}: {name} must be a tensor, got {kind_of(x)}; convert with torch.as_tensor({name})"
        )
    if x.layout is not _STRIDED or x.is_quantized or x.is_nested:
        _require_dense(owner, x, name)
    if x.requires_grad:
        require_no_grad(owner, x, name)


def _require_dense(owner: object, x: Tensor, name: str) -> None:
    if x.is_nested:
        got, wayout = "a nested one", "pad it with torch.nested.to_padded_tensor"
    elif x.is_quantized:
        got, wayout = str(x.dtype), f"convert with {name}.dequantize()"
    else:
        got, wayout = str(x.layout), f"convert with {name}.to_dense()"
    raise DtypeError(f"{_name(owner)}: {name} must be a dense tensor of plain numbers, got {got}; {wayout}")


def require_no_grad(owner: object, x: Tensor, name: str = "x") -> None:
    """Raise AutogradError if autograd would record what a layer does to `x`."""
    if x.requires_grad and torch.is_grad_enabled() and not autograd_allowed():
        raise AutogradError(
            f"{_name(owner)}: {name} must not require grad, since mytorch works without autograd, got a tensor "
            f"with requires_grad=True; pass {name}.detach(), or work under torch.inference_mode()"
        )


def require_upstream(
    owner: object, d_y: Any, shape: tuple[int, ...], name: str = "d_y", *, like: Tensor | None = None
) -> None:
    """Raise ShapeError unless an upstream gradient has the output's shape, DtypeError unless it is floating point.

    like: a tensor that it meets; on another device, it raises ArgumentError.

    Every backward calls it first: another shape would be broadcast to a wrong gradient, and some of torch's raw
    kernels read beyond a tensor that is too short. A layer with several outputs calls it for each gradient that is
    not None.
    """
    try:
        fits = isinstance(d_y, Tensor) and d_y.shape == shape
    except RuntimeError:  # a nested one has no shape
        _require_dense(owner, d_y, name)
        raise
    if not fits:
        got = tuple(d_y.shape) if isinstance(d_y, Tensor) else kind_of(d_y)
        raise ShapeError(f"{_name(owner)}: {name} must have the shape of the output, {tuple(shape)}, got {got}")
    if d_y.dtype not in FLOATING:
        rule = "of at least 16 bits" if d_y.is_floating_point() else "as the output is"
        raise DtypeError(f"{_name(owner)}: {name} must be floating point, {rule}, got {d_y.dtype}")
    if d_y.layout is not _STRIDED:
        _require_dense(owner, d_y, name)
    if like is not None:
        require_same_device(owner, d_y, like, name, "output")


def require_saved(owner: object, saved: Any, *kinds: Any) -> None:
    """Raise ArgumentError unless `saved` is what the layer's own forward returned: one of a kind, or a tuple of them.

    A backward calls it before it takes `saved` apart, so that the saved value of another layer is told by name:

        require_saved(self, saved, Tensor)          # a tensor
        require_saved(self, saved, Tensor, Tensor)  # a tuple of two
    """
    held = saved if len(kinds) > 1 else (saved,)
    if isinstance(held, tuple) and len(held) == len(kinds) and all(map(isinstance, held, kinds)):
        return
    names = ", ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    rule = f"a tuple of {len(kinds)} ({names})" if len(kinds) > 1 else f"a {names}"
    got = f"{kind_of(saved)} of {len(saved)}" if isinstance(saved, (tuple, list)) else kind_of(saved)
    raise ArgumentError(
        f"{_name(owner)}: saved must be {rule}, as its own forward returned, got {got}; give each backward the saved "
        "value of its own forward"
    )


def require_pair(module: object, result: Any) -> None:
    """Raise ContractError unless a forward returned a tuple of two, its output and what backward needs."""
    if not isinstance(result, tuple) or len(result) != 2:
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else kind_of(result)
        raise ContractError(
            f"{_name(module)}: forward must return a pair (output, saved), got {got}; write return y, None where "
            "backward needs nothing"
        )


def require_last_axis(owner: object, x: Tensor, size: int, name: str = "x") -> None:
    """Raise ShapeError unless `x` is a tensor of shape (..., size)."""
    require_input(owner, x, name)
    if x.dim() == 0 or x.shape[-1] != size:
        raise ShapeError(
            f"{_name(owner)}: last axis of {name} must be {size}, got {_last(x)} in a tensor of {tuple(x.shape)}"
        )


def require_dimensions(owner: object, x: Tensor, *allowed: int, name: str = "x") -> None:
    """Raise ShapeError unless `x` is a tensor whose number of axes is one of those allowed."""
    require_input(owner, x, name)
    if x.dim() not in allowed:
        rule = " or ".join(str(count) for count in allowed)
        raise ShapeError(f"{_name(owner)}: {name} must have {rule} axes, got {x.dim()} in {tuple(x.shape)}")


def require_same_shape(owner: object, prediction: Tensor, target: Tensor) -> None:
    """Raise ShapeError unless prediction and target are tensors of one shape: broadcasting would hide a mistake."""
    if not isinstance(prediction, Tensor) or prediction.requires_grad or prediction.layout is not _STRIDED:
        require_input(owner, prediction, "prediction")
    if not isinstance(target, Tensor) or target.requires_grad or target.layout is not _STRIDED:
        require_input(owner, target, "target")
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{_name(owner)}: target must have the shape of the prediction, {tuple(prediction.shape)}, "
            f"got {tuple(target.shape)}{_same_count(prediction, target)}"
        )
    if target.device != prediction.device:
        require_same_device(owner, target, prediction, "target", "prediction")


def require_floating(owner: object, x: Tensor, name: str = "x") -> None:
    """Raise DtypeError unless `x` is a tensor of floating-point numbers of 16 bits or more."""
    require_input(owner, x, name)
    if x.dtype not in FLOATING:
        rule = "floating point of at least 16 bits" if x.is_floating_point() else "floating point"
        raise DtypeError(f"{_name(owner)}: {name} must be {rule}, got {x.dtype}; convert with .float()")


def require_real(owner: object, x: Tensor, name: str = "x") -> None:
    """Raise DtypeError unless `x` is a tensor of whole or floating-point numbers that torch computes with."""
    require_input(owner, x, name)
    if x.dtype is torch.bool or x.is_complex() or (x.is_floating_point() and x.dtype not in FLOATING):
        raise DtypeError(f"{_name(owner)}: {name} must hold real numbers, got {x.dtype}; convert with .float()")


def require_dtype(owner: object, x: Tensor, dtype: torch.dtype, name: str = "x", of: str = "parameters") -> None:
    """Raise DtypeError unless `x` has the dtype of the parameters that it meets, or of the output that it is for."""
    if x.dtype is not dtype:
        raise DtypeError(
            f"{_name(owner)}: {name} must have the dtype of the {of}, {dtype}, got {x.dtype}; "
            f"convert it with .to({dtype}), or the model"
        )


def require_like(owner: object, x: Tensor, like: Tensor, name: str = "x", of: str = "parameters") -> None:
    """Raise DtypeError or ArgumentError unless `x` has the dtype and the device of what it meets."""
    require_dtype(owner, x, like.dtype, name, of)
    require_same_device(owner, x, like, name, of)


def require_same_device(owner: object, x: Tensor, like: Tensor, name: str = "x", of: str = "parameters") -> None:
    """Raise ArgumentError unless `x` is on the device of what it meets."""
    if x.device != like.device:
        raise ArgumentError(
            f"{_name(owner)}: {name} must be on the device of the {of}, {like.device}, got {x.device}; move it with "
            f".to({str(like.device)!r}), or the model"
        )


def require_floating_dtype(owner: object, dtype: Any) -> None:
    """Raise ArgumentError unless a constructor's `dtype` is None or one of torch's floating-point dtypes."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ArgumentError(
            f"{_name(owner)}: dtype must be floating point, since weights are trained, got {shown(dtype)}; "
            "write torch.float32, or leave it out"
        )


def require_device(owner: object, device: Any) -> torch.device | None:
    """The device of a name such as "cuda:0"; None for None. Raises ArgumentError for what is none."""
    try:
        return None if device is None else torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(
            f"{_name(owner)}: device must be one that torch knows, such as cpu or cuda:0, got {shown(device)}"
        ) from error


def require_kind(owner: object, name: str, given: object, kind: type) -> None:
    """Raise ArgumentError for a part of another kind, such as a class, or one of torch's."""
    if isinstance(given, kind):
        return
    got = "None" if given is None else f"{type(given).__module__}.{type(given).__qualname__}"
    if isinstance(given, type) and issubclass(given, kind):
        got = f"the class {given.__name__}; write {given.__name__}(...)"
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    raise ArgumentError(f"{_name(owner)}: {name} must be {article} {kind.__name__} of mytorch, got {got}")


def require_choice(owner: object, name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ArgumentError unless a named option is one of its choices."""
    if value not in choices:
        raise ArgumentError(f"{_name(owner)}: {name} must be one of {', '.join(choices)}, got {shown(value)}")


def require_flag(owner: object, name: str, value: object) -> None:
    """Raise ArgumentError unless `value` is True or False: a text such as "false" would count as true."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{_name(owner)}: {name} must be True or False, got {shown(value)}")


def require_flags(owner: object, **flags: object) -> None:
    """The same for several, by their names."""
    for name, value in flags.items():
        require_flag(owner, name, value)


def require_whole(owner: object, name: str, value: object, low: int | None = 0, high: int = WIDEST) -> None:
    """Raise ArgumentError unless `value` is a whole number (which True is not), of at least `low` if one is given.

    high: the largest that is taken; torch counts with 64 bits.
    """
    if not isinstance(value, int) or isinstance(value, bool) or (low is not None and value < low):
        rule = "" if low is None else f" of at least {low}"
        raise ArgumentError(f"{_name(owner)}: {name} must be a whole number{rule}, got {shown(value)}")
    if not -WIDEST <= value <= high:
        rule = f"at most {high:,}" if high < WIDEST else "64 bits at most"
        raise ArgumentError(f"{_name(owner)}: {name} must be a whole number of {rule}, got {shown(value)}")


FLOAT_MAX = torch.finfo(torch.float32).max


def require_range(
    owner: object, name: str, value: float | Tensor, low: float = -float("inf"), high: float = float("inf")
) -> None:
    """Raise ArgumentError unless `value` is a number (which True is not) with low <= value <= high.

    high: FLOAT_MAX where a kernel takes what float32 holds, but not infinity.
    """
    if not is_number(value):
        raise ArgumentError(f"{_name(owner)}: {name} must be a number, got {shown(value)}")
    if not low <= value <= high:  # which NaN is not
        least = "" if low == -FLOAT_MAX else f"at least {low:g}"
        finite = (
            " and ".join(filter(None, ("finite", least))) if high == FLOAT_MAX else f"between {low:g} and {high:g}"
        )
        rule = f"at least {low:g}" if high == float("inf") else finite
        raise ArgumentError(f"{_name(owner)}: {name} must be {rule}, got {shown(value)}")


def is_number(value: object) -> bool:
    """Whether a value is a real number that a float can hold, or a tensor of one; True and False are none."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_complex() and not value.is_meta
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= sys.float_info.max
    return isinstance(value, float)


def kind_of(value: object) -> str:
    """What an error says of a value that is of the wrong kind: None, or "a list", "an ndarray"."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}" if kind != "ndarray" else "a NumPy array"


def require_path(owner: object, name: str, path: Any) -> Path:
    """The path of a file or folder. Raises ArgumentError for what is none, such as None or a number."""
    if not isinstance(path, (str, Path)):
        raise ArgumentError(f"{_name(owner)}: {name} must be a path, got {shown(path)}; pass a str or a pathlib.Path")
    return Path(path)


def require_value(what: str, value: Any) -> None:
    """Raise ArgumentError unless the value of a parameter or buffer, named in full, is a tensor."""
    if not isinstance(value, Tensor):
        raise ArgumentError(f"{what} must be a tensor, got {kind_of(value)}; convert with torch.as_tensor(value)")


def require_seed(owner: object, seed: object) -> None:
    """Raise ArgumentError unless `seed` is what torch's generators take and experiment files can hold."""
    if type(seed) is not int or not 0 <= seed <= WIDEST:
        raise ArgumentError(f"{_name(owner)}: seed must be a whole number from 0 to 2**63 - 1, got {shown(seed)}")


def _name(owner: object) -> str:
    return owner if isinstance(owner, str) else type(owner).__name__


def _last(x: Tensor) -> str:
    return str(x.shape[-1]) if x.dim() else "no axis"


def _same_count(prediction: Tensor, target: Tensor) -> str:
    if prediction.numel() != target.numel():
        return ""
    return f"; target.reshape({', '.join(str(size) for size in prediction.shape)}) would fit"
