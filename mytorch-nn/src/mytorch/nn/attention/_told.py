"""Attention in words."""

from __future__ import annotations

from torch import Tensor

HEADS, KEYS = 8, 3
"""How many heads are told, and of each how many keys."""


def most_looked_at(weights: Tensor) -> tuple[str, ...]:
    """For each head, the keys that the last query weighs most. weights: (heads, queries, keys)."""
    last = weights.shape[1] - 1
    lines = []
    for head, row in enumerate(weights[:HEADS, last]):
        found = row.topk(min(KEYS, len(row)))
        keys = ", ".join(f"{key} ({weight:.2g})" for weight, key in zip(*map(Tensor.tolist, found), strict=True))
        lines.append(f"head {head}: query {last} looks most at the keys {keys}")
    return tuple(lines)
