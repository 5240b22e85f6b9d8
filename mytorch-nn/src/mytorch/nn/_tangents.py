"""How layers state their tangents by their own backward, or by what those within them state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from mytorch.core import Directions, Module

Tangent = Callable[[Any, Any, Any, Directions], tuple[Any, Any]]
BackwardTangent = Callable[[Any, Any, Any, Any, Any, Directions], tuple[Any, Any]]


def backward_of_both(
    layer: Any,
    d_y: Any,
    t_d_y: Any,
    saved: Any,
    t_saved: Any,  # noqa: ARG001
    along: Directions,  # noqa: ARG001
) -> tuple[Any, Any]:
    """The `backward_tangent` of a layer that is linear in its input: its backward does not change with that."""
    return layer.backward(d_y, saved), layer.backward(t_d_y, saved)


def forward_of_tangent(layer: Any, t_x: Tensor | None, saved: Any, along: Directions) -> tuple[Tensor | None, None]:  # noqa: ARG001
    """The `tangent` of a layer without parameters that is linear in its input: its forward."""
    return None if t_x is None else layer.forward(t_x)[0], None


LINEAR: tuple[Tangent, BackwardTangent] = forward_of_tangent, backward_of_both
"""`tangent` and `backward_tangent` of a layer without parameters whose forward is linear in its one input."""


def chain_tangent(
    layers: Iterable[Module], t_x: Any, saved: Sequence[Any], along: Directions
) -> tuple[Any, list[Any]]:
    """The `tangent` of layers one after the other, each of which saved a value."""
    t_saved = []
    for layer, kept in zip(layers, saved, strict=True):
        t_x, t_kept = layer.tangent(t_x, kept, along)
        t_saved.append(t_kept)
    return t_x, t_saved


def chain_backward_tangent(
    layers: Sequence[Module], d_y: Any, t_d_y: Any, saved: Sequence[Any], t_saved: Sequence[Any], along: Directions
) -> tuple[Any, Any]:
    """The `backward_tangent` of the same."""
    for layer, kept, t_kept in reversed([*zip(layers, saved, t_saved, strict=True)]):
        d_y, t_d_y = layer.backward_tangent(d_y, t_d_y, kept, t_kept, along)
    return d_y, t_d_y


def elementwise(second: Callable[[Any, Any], Tensor] | None = None) -> tuple[Tangent, BackwardTangent]:
    """`tangent` and `backward_tangent` of y = f(x), each number by itself.

    t_y = f'(x) * t_x, which is what backward makes of t_x, and
    t_d_x = f'(x) * t_d_y + f''(x) * d_y * t_x

    second: f''(x), a function of the layer and of what its forward saved; None where it is 0, as for straight lines.
    """

    def tangent(layer: Any, t_x: Tensor | None, saved: Any, along: Directions) -> tuple[Tensor | None, Tensor | None]:  # noqa: ARG001
        return None if t_x is None else layer.backward(t_x, saved), t_x

    def backward_tangent(
        layer: Any, d_y: Tensor, t_d_y: Tensor, saved: Any, t_x: Tensor | None, along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        d_x, t_d_x = backward_of_both(layer, d_y, t_d_y, saved, t_x, along)
        if second is None or t_x is None or t_d_x is None:
            return d_x, t_d_x
        return d_x, t_d_x + second(layer, saved) * d_y * t_x

    return tangent, backward_tangent
