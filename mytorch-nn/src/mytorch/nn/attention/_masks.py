"""Masks of attention, as numbers that are added to the scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import DtypeError, Module, ShapeError, require_input, require_same_device


class Sizes(NamedTuple):
    """How many scores there are: one for each row, head, query and key."""

    batch: int
    heads: int
    queries: int
    keys: int


def causal_mask(
    queries: int, keys: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> Tensor:
    """0 where the position of the key is at most that of the query, else -inf."""
    return torch.full((queries, keys), float("-inf"), device=device, dtype=dtype).triu(1)


def merged_mask(
    owner: Module,
    sizes: Sizes,
    like: Tensor,
    *,
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    is_causal: bool,
    batched: bool,
    visible: int,
) -> Tensor | None:
    """The sum of the masks, which broadcasts to (batch, heads, queries, keys + visible); None without one.

    like: a tensor of the device and dtype that the mask is to have.
    batched: whether the key padding mask has a batch axis.
    visible: how many keys more there are behind the others, which every query may look at.
    Raises ShapeError and DtypeError for masks that do not fit.
    """
    batch, heads, queries, keys = sizes
    parts = []
    if attn_mask is not None:
        _require_mask(owner, "attn_mask", attn_mask, like, (queries, keys), (batch * heads, queries, keys))
        of_pairs = _as_numbers(attn_mask, like.dtype)
        parts.append(of_pairs if of_pairs.dim() == 2 else of_pairs.reshape(sizes))
    if key_padding_mask is not None:
        _require_mask(owner, "key_padding_mask", key_padding_mask, like, (batch, keys) if batched else (keys,))
        parts.append(_as_numbers(key_padding_mask, like.dtype).reshape(batch, 1, 1, keys))
    if is_causal:
        parts.append(causal_mask(queries, keys, like.device, like.dtype))
    if not parts:
        return None
    mask, *others = parts
    for other in others:
        mask = mask + other
    return F.pad(mask, (0, visible)) if visible else mask


def _as_numbers(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """-inf where a Boolean mask is True, else 0; a mask of numbers as it is."""
    if mask.dtype is not torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))


def _require_mask(owner: Module, name: str, mask: Tensor, like: Tensor, *shapes: tuple[int, ...]) -> None:
    """Raise ShapeError unless a mask has one of the shapes; DtypeError unless it is Boolean or floating point.

    ArgumentError on another device than `like`.
    """
    require_input(owner, mask, name)
    if mask.dtype is not torch.bool and not mask.is_floating_point():
        raise DtypeError(
            f"{type(owner).__name__}: {name} must be Boolean, True where attention is not allowed, or floating point, "
            f"numbers to add to the scores, got {mask.dtype}; convert with .bool()"
        )
    if tuple(mask.shape) not in shapes:
        rule = " or ".join(map(str, shapes))
        raise ShapeError(f"{type(owner).__name__}: {name} must have the shape {rule}, got {tuple(mask.shape)}")
    require_same_device(owner, mask, like, name, "input")
