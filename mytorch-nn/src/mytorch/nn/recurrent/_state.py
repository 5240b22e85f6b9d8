"""The checks of states and of their gradients, which cells and layers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    ShapeError,
    kind_of,
    require_input,
    require_like,
    require_upstream,
)
from mytorch.nn.recurrent._unroll import State

Shapes = Sequence[tuple[int, ...]]


def initial_state(owner: Module, hx: Any, shapes: Shapes, x: Tensor, *, shared: bool = True) -> State:
    """hx as a tuple, of one tensor or of an LSTM's two; zeros of the dtype of x where it is None.

    shared: whether one number in memory may stand for all these zeros, which a kernel would copy.
    Raises ArgumentError for what is no tensor, or no tuple of two; ShapeError; DtypeError.
    """
    if hx is None:
        return tuple(_zeros(x, shape, shared) for shape in shapes)
    given = (hx,) if len(shapes) == 1 else hx
    if not isinstance(given, tuple | list) or len(given) != len(shapes):
        got = f"{kind_of(given)} of {len(given)}" if isinstance(given, tuple | list) else kind_of(given)
        raise ArgumentError(f"{type(owner).__name__}: hx must be a tuple of two tensors, (h_0, c_0), got {got}")
    names = ("hx",) if len(shapes) == 1 else ("hx[0]", "hx[1]")
    for name, each, shape in zip(names, given, shapes, strict=True):
        require_input(owner, each, name)
        if each.shape != shape:
            raise ShapeError(
                f"{type(owner).__name__}: {name} must have the shape {shape}, to match the input, "
                f"got {tuple(each.shape)}"
            )
        require_like(owner, each, x, name)
    return tuple(given)


def upstream_state(
    owner: Module, d_state: Any, names: Sequence[str], shapes: Shapes, x: Tensor, *, shared: bool = True
) -> State:
    """The gradient of a state as a tuple; zeros for None, which stands for what was not used. Raises ShapeError."""
    given = (d_state,) if len(shapes) == 1 else (None, None) if d_state is None else d_state
    if not isinstance(given, tuple | list) or len(given) != len(shapes):
        raise ShapeError(
            f"{type(owner).__name__}: the gradient of the state must be a tuple of two, ({', '.join(names)}), "
            f"with None for what was not used, got {kind_of(d_state)}"
        )
    gradients = []
    for name, each, shape in zip(names, given, shapes, strict=True):
        if each is None:
            gradients.append(_zeros(x, shape, shared))
            continue
        require_upstream(owner, each, shape, name)
        require_like(owner, each, x, name)
        gradients.append(each)
    return tuple(gradients)


def tangent_state(t_state: Any, shapes: Shapes, x: Tensor) -> State:
    """How a state changes, as a tuple; zeros for None, which stands for what does not."""
    given = (t_state,) if len(shapes) == 1 else (None, None) if t_state is None else t_state
    return tuple(_zeros(x, shape) if each is None else each for each, shape in zip(given, shapes, strict=True))


def _zeros(like: Tensor, shape: tuple[int, ...], shared: bool = True) -> Tensor:
    """Zeros to be read only: if they are shared, all are one number in memory."""
    return like.new_zeros(()).expand(shape) if shared else like.new_zeros(shape)


def told(owner: Module) -> str:
    """What a saved value says of the layer that it is of: class and arguments, even where a subclass shows others."""
    return f"{type(owner).__name__}({Module.extra_repr(owner)})"


def require_own(owner: Module, own: str, found: str) -> None:
    """Raise ArgumentError for the saved value of another kind of layer, or of one whose weights have other sizes."""
    if own != found:
        raise ArgumentError(
            f"{type(owner).__name__}: saved must be that of {own}, got that of {found}; give each backward the saved "
            "value of its own forward"
        )
