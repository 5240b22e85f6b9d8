"""Figures of a run, as PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mytorch.data.as_written import as_written
from mytorch.data.palette import BLACK, BLUE, GREEN, VERMILION
from mytorch.experiments.runs.columns import PARTS, quantity_of
from mytorch.plugins import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VALIDATION, TEST, KEPT = BLUE, GREEN, VERMILION, BLACK
COLOURS = dict(zip(PARTS, (TRAIN, VALIDATION, TEST), strict=True))
MARKED = 50
"""Points of a longer line are not marked: they would touch."""
Records = Sequence[Mapping[str, float]]


def draw_history(history: Records, folder: Path, run: str = "", kept: int | None = None) -> list[Path]:
    """Draw `loss.png` and one figure a metric, over epochs, every part of the data in one picture.

    run: the run's name, which stands above.  kept: the epoch whose weights the run keeps, the last if None.
    """
    paths = {quantity: folder / f"{quantity}.png" for quantity in quantities_of(history)}
    return [draw_quantity(history, quantity, path, run, kept) for quantity, path in paths.items()]


def quantities_of(history: Records) -> list[str]:
    """The loss and metrics of a history, whatever part of the data they were taken on."""
    found = dict.fromkeys(quantity_of(name) for record in history for name in record)
    return [quantity for quantity in found if quantity is not None]


def draw_quantity(history: Records, quantity: str, path: Path, run: str = "", kept: int | None = None) -> Path:
    """Draw one quantity of a history over epochs; run and kept as for `draw_history`."""
    figure, axes = new_figure()
    for part, colour in COLOURS.items():
        plot_series(axes, history, f"{part}_{quantity}", label=part, color=colour)
    if kept is not None and history and kept != history[-1]["epoch"]:
        axes.axvline(kept, color=KEPT, lw=1.2, ls="--", label=f"epoch {kept}, whose weights are kept")
    title = quantity.replace("_", " ")
    finish(axes, title, title)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(edgecolor="none", framealpha=0.8)
    if run:
        figure.suptitle(run, fontsize="small")
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
        marker = marker if len(points) <= MARKED else ""
        axes.plot(epochs, values, marker=marker, ms=3, ls=line, lw=width, color=color, alpha=alpha, label=label)


def finish(axes: Axes, title: str, ylabel: str) -> None:
    """Label a figure over epochs, whose axis ends with the last. It begins with 0 where the values come near to it."""
    axes.set_title(title[:1].upper() + title[1:])
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    _end_with_the_last_epoch(axes)
    low, high = axes.dataLim.intervaly
    if 0 < low < high / 2:
        axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _end_with_the_last_epoch(axes: Axes) -> None:
    """Tick whole epochs, the last among them; a tick so near to it that the numbers would touch is left out."""
    from matplotlib.ticker import MaxNLocator

    first, last = axes.dataLim.intervalx
    if not math.isfinite(last):
        return
    between = MaxNLocator(6, integer=True, min_n_ticks=1).tick_values(first, last)
    near = (last - first) / 12
    axes.set_xticks([tick for tick in between if first <= tick < last - near] + [last])


def save(figure: Figure, path: Path) -> Path:
    """Write a figure. Raises FileError."""
    with whole_file(path) as beside, as_written(figure):
        figure.savefig(beside, dpi=150, format="png")
    return path
