"""A figure for each section: lines over what was swept, or a bar for each contestant."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from results import Row, Section, number

from mytorch.data.palette import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
OURS = "mytorch"


def draw(section: Section, path: Path) -> None:
    """Write the section's figure as PNG."""
    height = 4.2 if section.axis else 1.4 + 0.3 * len(section.rows)
    figure = Figure(figsize=(6.8, height), layout="constrained")
    axes = figure.subplots()
    if section.axis:
        _lines(axes, section)
    else:
        _bars(axes, section.rows)
    axes.set_title(section.title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    (axes.set_ylabel if section.axis else axes.set_xlabel)(section.unit)
    figure.savefig(path, dpi=110, format="png")


def _lines(axes: Axes, section: Section) -> None:
    names = list(dict.fromkeys(row.contestant for row in section.rows))
    for place, name in enumerate(names):
        rows = [row for row in section.rows if row.contestant == name and row.at is not None]
        x = [row.at or 0 for row in rows]
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        axes.plot(x, [row.figure.median for row in rows], label=name, ms=4, lw=1.5, **style)
        low, high = [row.figure.low for row in rows], [row.figure.high for row in rows]
        axes.fill_between(x, low, high, color=style["color"], alpha=0.2, lw=0)
    if section.logarithmic:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.set_xticks(sorted({row.at for row in section.rows if row.at}))
        _plain_numbers(axes, "x")
        _plain_numbers(axes, "y")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(section.axis or "")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def _bars(axes: Axes, rows: list[Row]) -> None:
    rows = sorted(rows, key=lambda row: -row.figure.median)
    medians = [row.figure.median for row in rows]
    errors = [[m - row.figure.low for m, row in zip(medians, rows, strict=True)]]
    errors.append([row.figure.high - m for m, row in zip(medians, rows, strict=True)])
    colours = [COLOURS[0] if row.contestant.startswith(OURS) else COLOURS[-1] for row in rows]
    axes.barh([row.contestant for row in rows], medians, xerr=errors, color=colours, height=0.7, ecolor="#444444")
    axes.set_xscale("log")
    axes.set_xlim(min(medians) / 2, max(medians) * 2.5)
    for place, row in enumerate(rows):
        axes.text(row.figure.high * 1.06, place, number(row.figure.median), va="center", fontsize=8)
    _plain_numbers(axes, "x")
    axes.tick_params(axis="y", labelsize=8)


def _plain_numbers(axes: Axes, which: str) -> None:
    """1000 and not 10^3."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
