"""Tables on the terminal, by rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mytorch.plugins import printable

WIDE = 10_000
"""Columns where there is no terminal: programs that read a table want a row a line."""
WORDS = 11
"""A column of words is folded to no less, where the terminal is narrow; then lines run over."""


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> None:
    """Print a table without lines; the first `left` columns are words, the others numbers, aligned at their end."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, heading in enumerate(headings):
        words = 0 < number < left  # a name in front, and numbers, stay in one piece
        side: Literal["left", "right"] = "left" if number < left else "right"
        table.add_column(Text(heading), justify=side, overflow="fold", no_wrap=not words, min_width=words * WORDS)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # Text: what stands in square brackets is no markup
    terminal = Console(highlight=False)
    wide = Console(highlight=False, width=WIDE)
    if terminal.is_terminal:
        wide.width = max(terminal.width, wide.measure(table).minimum)
    wide.print(table)


def number(value: object) -> str:
    """A number in a table, "-" for None."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
