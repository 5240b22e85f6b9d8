"""Tensors in tuples, lists and dicts, as layers take, return and save them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def leaves(value: Any) -> Iterator[Any]:
    """What a structure holds that is no tuple, list or dict, in order."""
    if is_nested(value):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from leaves(entry)
    else:
        yield value


def mapped(change: Callable[..., Any], value: Any, *others: Any) -> Any:
    """The structure, built anew, with `change` of whatever in it is no tuple, list or dict.

    others: structures that are alike, whose entries `change` is given beside; where the first has something else in
        place of a tuple, list or dict, such as None, it is given theirs whole.
    """
    if not is_nested(value):
        return change(value, *others)
    if isinstance(value, Mapping):
        entries = [mapped(change, entry, *(other[name] for other in others)) for name, entry in value.items()]
    else:
        entries = [mapped(change, *together) for together in zip(value, *others, strict=True)]
    return with_entries(value, entries)


def with_entries(value: Any, entries: list[Any]) -> Any:
    """A tuple, list or dict like another one, with other entries."""
    if isinstance(value, Mapping):
        return dict(zip(value, entries, strict=True))
    if hasattr(value, "_make"):
        return value._make(entries)
    return entries if isinstance(value, list) else tuple(entries)


def is_nested(value: Any) -> bool:
    """Whether a value is a tuple, list or dict of others; sizes, and sequences that are packed in one, are not."""
    if isinstance(value, PackedSequence):
        return False
    return type(value) in (tuple, list, dict) or (isinstance(value, tuple) and hasattr(value, "_make"))


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor of a structure, in order."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, Tensor))
