"""The curves of two runs in one figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from mytorch.experiments.figures.figures import TEST, TRAIN, finish, plot_series, quantities_of, save
from mytorch.experiments.runs.compare_runs import RunComparison

COLUMNS = 3
LINES = (("test", "-", "o"), ("validation", "--", "s"), ("train", ":", ""))
"""Colour tells the run, and the line which part of the data it is."""


def draw_comparison(comparison: RunComparison, path: Path) -> Path:
    """Draw loss and each metric that both runs have, a pair of axes each, with one legend. Raises RunError."""
    ours, theirs = map(quantities_of, comparison.histories)
    common = [quantity for quantity in ours if quantity in theirs] or ["loss"]
    columns = min(COLUMNS, len(common))
    rows = -(-len(common) // columns)
    figure = Figure(figsize=(1.6 + 4.4 * columns, 0.6 + 3.4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place, quantity in zip(axes, common, strict=False):
        for run, history, colour in zip("AB", comparison.histories, (TRAIN, TEST), strict=True):
            for part, line, marker in LINES:
                name = f"{part}_{quantity}"
                plot_series(place, history, name, label=f"{run}, {part}", color=colour, marker=marker, line=line)
        title = quantity.replace("_", " ")
        finish(place, title, title)
    for place in axes[len(common) :]:
        place.remove()
    figure.suptitle("A: {}\nB: {}".format(*comparison.names), fontsize="medium")
    lines = {label: line for place in axes for line, label in zip(*place.get_legend_handles_labels(), strict=True)}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=2, frameon=False)
    return save(figure, path)
