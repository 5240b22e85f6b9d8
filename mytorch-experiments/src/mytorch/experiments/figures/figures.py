"""Figures of a run, as PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mytorch.data.palette import BLUE, GREEN, VERMILION
from mytorch.experiments.runs.columns import PARTS, quantity_of
from mytorch.plugins import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION, TEST = BLUE, GREEN, VERMILION
COLOURS = dict(zip(PARTS, (TRAIN, VALIDATION, TEST), strict=True))
Records = Sequence[Mapping[str, float]]


def draw_history(history: Records, folder: Path) -> list[Path]:
    """Draw `loss.png` and one figure a metric, over epochs, every part of the data in one picture."""
    return [draw_quantity(history, quantity, folder / f"{quantity}.png") for quantity in quantities_of(history)]


def quantities_of(history: Records) -> list[str]:
    """The loss and metrics of a history, whatever part of the data they were taken on."""
    found = dict.fromkeys(quantity_of(name) for record in history for name in record)
    return [quantity for quantity in found if quantity is not None]


def draw_quantity(history: Records, quantity: str, path: Path) -> Path:
    """Draw one quantity of a history over epochs."""
    figure, axes = new_figure()
    for part, colour in COLOURS.items():
        plot_series(axes, history, f"{part}_{quantity}", label=part, color=colour)
    title = quantity.replace("_", " ")
    finish(axes, title, title)
    return save(figure, path)


def new_figure(width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes, independent of any display."""
    from matplotlib.figure import Figure  # as slow as the rest of mytorch.train, and not every use of it draws

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def plot_series(
    axes: Axes,
    history: Records,
    name: str,
    *,
    label: str,
    color: str,
    marker: str = "o",
    line: str = "-",
    width: float = 1.5,
    alpha: float = 1.0,
) -> None:
    """Draw one column of a history over the epochs in which it was taken and finite; nothing if it never was."""
    points = [(record["epoch"], record[name]) for record in history if math.isfinite(record.get(name, math.nan))]
    if points:
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, marker=marker, ms=3, ls=line, lw=width, color=color, alpha=alpha, label=label)


def finish(axes: Axes, title: str, ylabel: str) -> None:
    """Label a figure over epochs."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title[:1].upper() + title[1:])
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure. Raises FileError."""
    with whole_file(path) as beside:
        figure.savefig(beside, dpi=150, format="png")
    return path
