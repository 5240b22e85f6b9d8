"""What a layer is fed: tensors as given, or random ones of the shapes that are given."""

from __future__ import annotations

from typing import Any

import torch

from mytorch.testing.structure import is_floating, leaves, mapped


def drawn(inputs: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """The inputs in float64; a shape such as (4, 3) becomes random numbers of both signs."""
    generator = torch.Generator().manual_seed(seed)

    def one(value: Any) -> Any:
        if is_shape(value):
            return torch.randn(value, dtype=torch.float64, generator=generator)
        return mapped(value, lambda leaf: leaf.detach().double() if is_floating(leaf) else leaf)

    return tuple(map(one, inputs))


def is_shape(value: Any) -> bool:
    """Whether an input is given by its sizes."""
    return isinstance(value, tuple) and bool(value) and all(type(size) is int for size in value)


def shown(inputs: tuple[Any, ...]) -> str:
    """The inputs as one writes them in a call; a tensor by what draws one like it."""
    return ", ".join(
        text for value in inputs for text in ([str(tuple(value))] if is_shape(value) else map(_leaf, _inside(value)))
    )


def _inside(value: Any) -> list[Any]:
    return [leaf for _, leaf in leaves(value, "")]


def _leaf(leaf: Any) -> str:
    if is_floating(leaf):
        return f"torch.randn({tuple(leaf.shape)}, dtype=torch.float64)"
    return f"<{leaf.dtype} {tuple(leaf.shape)}>" if isinstance(leaf, torch.Tensor) else repr(leaf)
