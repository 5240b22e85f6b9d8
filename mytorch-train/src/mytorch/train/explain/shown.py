"""What a layer shows of a call beside its tensors, as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mytorch.core import STEP, Detail
from mytorch.plugins import one_line
from mytorch.train.explain.picture import SIDE, Picture, draw

NAMED, MATRICES, BARS = 32, 8, 256
"""Entries of an axis whose names are drawn, matrices of a detail with three axes, and bars: more are narrower than a
pixel of a phone.
"""


@dataclass(frozen=True)
class Shown:
    """A `Detail`, drawn: a bar for each of the numbers on one axis, or a picture of each matrix."""

    title: str
    text: tuple[str, ...] = ()
    bars: tuple[tuple[str, float | None], ...] = ()
    """Name and number; None for one that is not finite."""
    pictures: tuple[Picture, ...] = ()


def shown_of(details: Iterable[Detail], tokens: Sequence[str] = ()) -> tuple[Shown, ...]:
    """What a layer tells, drawn; a line on the error in place of what it fails to tell.

    tokens: the texts of the steps of the first sequence, if they are known.
    """
    found: list[Shown] = []
    try:
        for detail in details:
            found.append(_shown(detail, tokens))  # noqa: PERF401 - those before an error are kept
    except Exception as error:  # the numbers of the step are worth showing all the same
        found.append(Shown("details", (f"could not be made: {type(error).__name__}: {one_line(error)}",)))
    return tuple(found)


def tokens_of(data: Any, inputs: Any) -> Sequence[str]:
    """The texts of the tokens of the first row, where the inputs are tokens."""
    names = getattr(data, "tokens", None)
    if names is None or not isinstance(inputs, Tensor) or inputs.dim() != 2 or inputs.is_floating_point():
        return ()
    return [names[token] if 0 <= token < len(names) else str(token) for token in inputs[0].tolist()]


def _shown(detail: Detail, tokens: Sequence[str]) -> Shown:
    if detail.values is None:
        return Shown(detail.title, detail.text)
    values = detail.values.detach().double().cpu()
    if values.dim() == 1:
        names = _names(detail, 0, tokens) or tuple(map(str, range(len(values))))
        every = -(-len(values) // BARS)
        numbers = [number if math.isfinite(number) else None for number in values.tolist()]
        bars = tuple(zip(names, numbers, strict=True))[::every]
        title = f"{detail.title}, one of {every}" if every > 1 else detail.title
        return Shown(title, detail.text, bars)
    matrices = values[:MATRICES] if values.dim() == 3 else values.unsqueeze(0)
    firsts = _names(detail, 0, tokens) if values.dim() == 3 else ()
    pictures = []
    for number, matrix in enumerate(matrices):
        what = detail.title if values.dim() == 2 else f"{detail.axes[0]} {firsts[number] if firsts else number}"
        pictures.append(_matrix(detail, what, matrix, tokens))
    return Shown(detail.title, detail.text, (), tuple(pictures))


def _matrix(detail: Detail, what: str, matrix: Tensor, tokens: Sequence[str]) -> Picture:
    """A matrix with the names of its rows and columns; where they have names, the first ones."""
    names = [_names(detail, axis, tokens) for axis in (-2, -1)]
    most = [NAMED if each else SIDE for each in names]
    cuts = [
        f"the first {cut} of {size} {axis}s"
        for cut, size, axis in zip(most, matrix.shape, detail.axes[-2:], strict=True)
        if size > cut
    ]
    rows, columns = (each[:cut] for each, cut in zip(names, most, strict=True))
    axes = detail.axes[-2], detail.axes[-1]
    return draw(", ".join([what, *cuts]), matrix[None, : most[0], : most[1]], 1, axes, (rows, columns))


def _names(detail: Detail, axis: int, tokens: Sequence[str]) -> tuple[str, ...]:
    """The names of the entries of an axis: its own, or the tokens of the steps."""
    assert detail.values is not None  # as whoever calls has seen
    name, size = detail.axes[axis], detail.values.shape[axis]
    if name in detail.labels:
        return tuple(detail.labels[name])
    return tuple(tokens) if name.endswith(STEP) and len(tokens) == size else ()
