"""What a training that divides an optimizer's state among processes leaves it: a part of the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from mytorch.core import ArgumentError, Optimizer

Layout = Mapping[Any, Any] | list[int]
"""Which part it is: the piece of each parameter, or the numbers of layers of a pipeline's stages."""
_LEFT: WeakKeyDictionary[Optimizer, tuple[Layout, list[dict[str, Any]]]] = WeakKeyDictionary()


def leave(optimizer: Optimizer, layout: Layout) -> None:
    """Note that the state that an optimizer has now is a part, until it is replaced or a training takes it up."""
    _LEFT[optimizer] = layout, [state for state in optimizer.state.values() if state]


def layout_of(optimizer: Optimizer) -> Layout | None:
    """Which part of its state an optimizer was left; None once the state of every parameter was replaced."""
    layout, left = _LEFT.get(optimizer, (None, []))
    own = {id(state) for state in optimizer.state.values()}
    return layout if any(id(state) in own for state in left) else None


def take_up(
    optimizer: Optimizer, layout: Layout | None = None, gather: Callable[[Any], list[Any]] | None = None
) -> None:
    """Begin a training with the state that an optimizer has.

    layout: the part of it that this process needs; None where it needs all.
    gather: collects what the processes that begin together pass; None in one process.
    Raises ArgumentError, on all of them, where one has another part.
    """
    before = layout_of(optimizer)
    wrong = None if before is None or _serves(before, layout) else _other_part(optimizer, before)
    found = [wrong] if gather is None else gather(wrong)
    for text in found:
        if text is not None:
            raise ArgumentError(text)
    _LEFT.pop(optimizer, None)


def _serves(before: Layout, layout: Layout | None) -> bool:
    if isinstance(before, Mapping) and isinstance(layout, Mapping):
        return all(layout.get(parameter, piece) == piece for parameter, piece in before.items())
    return before == layout


def _other_part(optimizer: Optimizer, before: Layout) -> str:
    if isinstance(before, Mapping):
        return other_pieces(optimizer)
    return (
        f"stages: {type(optimizer).__name__} must have the state of all its parameters, got that of one stage of "
        f"{before}; train on with the same stages, or resume from its checkpoint"
    )


def other_pieces(optimizer: Optimizer) -> str:
    """What to say where an optimizer has the state of other pieces than those that are needed."""
    return (
        f"shard: {type(optimizer).__name__} must have the state of whole parameters, or of those of this process, got "
        "that of pieces which an earlier training left; train on with the same shard in as many processes, or resume "
        "from its checkpoint"
    )
