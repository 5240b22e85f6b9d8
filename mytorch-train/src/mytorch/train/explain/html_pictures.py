"""The pictures of an explanation, and what layers tell of a call, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mytorch.train.explain import words
from mytorch.train.explain.picture import Picture
from mytorch.train.explain.shown import Shown

LEGEND = (
    "In pictures, black is 0 and white the largest number; where some are below 0, white is 0, orange is below and "
    "blue above it. Green is no number. The range stands below each."
)
CELL, LETTER = 10.0, 5.4
"""Units of a drawing: the side of a cell with a name, and about the width of a letter of it."""
WIDEST, LARGEST = 256, 10
"""Pixels of a picture, which grows until it has so many or each number takes so many."""


def gallery(pictures: Sequence[Picture]) -> str:
    """Pictures side by side, as far as there is room."""
    return f'<div class="pictures">{"".join(map(_figure, pictures))}</div>' if pictures else ""


def detail(shown: Shown) -> str:
    """What a layer tells of a call."""
    text = f"<pre>{escape(chr(10).join(shown.text))}</pre>" if shown.text else ""
    bars = _bars(shown) if shown.bars else ""
    return f'<div class="title">{escape(shown.title)}</div>{text}{bars}{gallery(shown.pictures)}'


def _figure(picture: Picture) -> str:
    span = f"{words.short(picture.low)} to {words.short(picture.high)}"
    caption = f"<figcaption>{escape(picture.what)}: {span}</figcaption>"
    if picture.axes != ("", ""):
        return f'<figure class="named">{_named(picture)}{caption}</figure>'
    scale = max(1, min(LARGEST, WIDEST // max(picture.width, picture.height)))
    size = f'width="{picture.width * scale}"'
    return f'<figure><img src="{picture.uri}" {size} alt="{escape(picture.what)}">{caption}</figure>'


def _named(picture: Picture) -> str:
    """A matrix whose axes have names, and perhaps whose rows and columns have."""
    left, top = _margin(picture.rows), _margin(picture.columns)
    long = max(picture.width, picture.height)
    cell = CELL if picture.rows or picture.columns else max(1.0, 320.0 / long)
    across = cell if picture.columns or not picture.rows else max(1.0, min(CELL, 320.0 / picture.width))
    wide, high = picture.width * across, picture.height * cell
    texts = [
        f'<text x="{left - 2:g}" y="{top + (row + 0.75) * cell:g}" text-anchor="end">{_letters(name)}</text>'
        for row, name in enumerate(picture.rows)
    ]
    for column, name in enumerate(picture.columns):
        x, y = left + (column + 0.75) * across, top - 2
        texts.append(f'<text x="{x:g}" y="{y:g}" transform="rotate(-90 {x:g} {y:g})">{_letters(name)}</text>')
    down, right = (escape(axis) for axis in picture.axes)
    texts.append(f'<text x="{left:g}" y="{top + high + 9:g}">{right} to the right, {down} down</text>')
    return (
        f'<svg viewBox="0 0 {left + max(wide, 150):g} {top + high + 12:g}" font-size="8" font-family="monospace">'
        f'<image href="{picture.uri}" x="{left:g}" y="{top:g}" width="{wide:g}" height="{high:g}" '
        f'preserveAspectRatio="none"></image>{"".join(texts)}</svg>'
    )


def _margin(names: Sequence[str]) -> float:
    return 4 + LETTER * max((len(name[:12]) for name in names), default=0)


def _letters(name: str) -> str:
    return escape(name[:12])


def _bars(shown: Shown) -> str:
    """A bar for each number, with its name and the number where the pointer stands."""
    finite = [abs(number) for _, number in shown.bars if number is not None]
    largest = max(finite, default=0.0) or 1.0
    bars = [
        f'<div style="height: {abs(number or 0.0) / largest:.2%}" title="{escape(name)}: '
        f'{"no number" if number is None else words.short(number)}"></div>'
        for name, number in shown.bars
    ]
    return f'<div class="columns">{"".join(bars)}</div>'
