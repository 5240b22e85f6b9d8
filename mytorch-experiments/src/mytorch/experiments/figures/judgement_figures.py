"""The figures of a judgement, as PNG."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mytorch.experiments.figures.attempt import attempt
from mytorch.experiments.figures.figures import TEST, TRAIN, new_figure, save
from mytorch.experiments.figures.image_figures import draw_filters, draw_samples
from mytorch.experiments.predict.judge import Judgement
from mytorch.experiments.predict.judgement import BINS, Confusion, Residuals
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.experiments.tables.judgement_table import short
from mytorch.plugins import FileError, make_folder

NUMBERED_CLASSES, NAMED_CLASSES = 12, 40
"""Up to so many classes the cells of a confusion matrix have numbers, and its sides names."""
POINTS = 5000
"""More points in a picture only hide each other; then some are drawn, evenly spaced."""
FEW = 200
"""Up to so many rows points are larger and bars fewer, so that both are seen."""
FULL_OUTPUTS = 2
"""Up to so many outputs, each has a row of its own."""
COLUMNS = 3
NAMED_OUTPUTS = 12
"""More names below an axis would touch."""
SMALLEST, LARGEST = 10, 120
"""The areas of a dot for hardly any rows, and for the most."""
DOTS = "this model: larger for more rows, with the 95 % interval"
MOST_BARS = 60


def draw_judgement(judgement: Judgement, run: Path, folder: Path | None, data: Path | None) -> list[Path]:
    """Draw what there is: confusion and calibration, or residuals; images with their predictions, and filters.

    A new judgement replaces the figures of the last.
    folder: where; the run's own figures if None. There, in a folder that may hold those of other runs, the names begin
        with the run's.
    data: the file that was judged, whose name then stands in those of the figures, beside the test data's.
    A figure that cannot be drawn is told in a line, and left out. Raises FileError.
    """
    behind = "" if data is None else f"-{re.sub(r'[^A-Za-z0-9._-]+', '-', data.stem)}"
    before = "" if folder is None else f"{run.resolve().name}-"
    title = f"{run.resolve().name}, {judgement.rows} rows of {judgement.source if data is None else data.name}"
    makers: dict[str, Callable[[], Figure]] = {}
    if judgement.confusion is not None:
        makers["confusion"] = partial(_confusion, judgement.confusion, title)
        makers["calibration"] = partial(_calibration, judgement.confusion, title)
    if judgement.residuals is not None:
        makers["residuals"] = partial(_residuals, judgement.residuals, title)
    if judgement.images is not None:
        makers["predictions"] = partial(draw_samples, judgement.images, title)
    if judgement.filters is not None:
        makers["filters"] = partial(draw_filters, judgement.filters, run.resolve().name)
    if not makers:
        return []
    place, drawn = RunFolder(run).figures if folder is None else make_folder(folder), []
    for name, make in makers.items():
        with attempt(f"the figure {name}", FileError):
            drawn.append(save(make(), place / f"{before}{name}{behind}.png"))
    return drawn


def _confusion(confusion: Confusion, title: str) -> Figure:
    """Each row of the matrix as shares of a true class, from white to dark blue."""
    names, count = [short(name) for name in confusion.classes], len(confusion.classes)
    size = 3.0 + 0.4 * min(count, NAMED_CLASSES / 2)
    figure, axes = new_figure(size + 1.5, size)
    shares = confusion.counts / confusion.counts.sum(1, keepdim=True).clamp(min=1)
    image = axes.imshow(
        shares.tolist(), cmap="Blues", norm=PowerNorm(0.5, 0, 1)
    )  # a few mistakes among many rows are seen
    figure.colorbar(image, ax=axes, label="share of the true class")
    if count <= NUMBERED_CLASSES:
        for true, row in enumerate(confusion.counts.tolist()):
            for predicted, rows in enumerate(row):
                colour = "white" if shares[true, predicted] > 0.25 else "black"
                axes.text(predicted, true, f"{rows}", ha="center", va="center", color=colour)
    if count <= NAMED_CLASSES:
        axes.set_xticks(range(count), names, rotation=90 if count > 4 or max(map(len, names)) > 8 else 0)
        axes.set_yticks(range(count), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("Confusion", pad=10)
    figure.suptitle(title, fontsize="small")
    return figure


def _calibration(confusion: Confusion, title: str) -> Figure:
    """How often the model is right at each confidence, and how many rows have it."""
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    rows = confusion.rows
    filled = rows > 0
    confidence, right = (sums[filled] / rows[filled] for sums in (confusion.confidence, confusion.right))
    upper.plot([0, 1], [0, 1], color="#555555", ls="--", lw=1, label="perfectly calibrated")
    low, high = likely_shares(right, rows[filled])
    errors = [(right - low).tolist(), (high - right).tolist()]
    upper.errorbar(confidence.tolist(), right.tolist(), errors, fmt="none", ecolor=TRAIN, elinewidth=1, capsize=3)
    sizes = SMALLEST + (LARGEST - SMALLEST) * rows[filled] / rows.max()
    upper.scatter(
        confidence.tolist(), right.tolist(), s=sizes.tolist(), color=TRAIN, zorder=3, clip_on=False, label=DOTS
    )
    upper.set_ylim(-0.02, 1.02)
    upper.set_ylabel("share that is right")
    upper.set_title(f"Calibration: expected error {confusion.calibration_error:.3g}")
    figure.legend(loc="outside lower center", frameon=False)
    edges = [(number + 0.5) / BINS for number in range(BINS)]
    lower.bar(edges, rows.tolist(), width=0.9 / BINS, color=TRAIN)
    _counts_rows(lower)
    lower.set_xlabel("confidence: the largest probability of a row")
    lower.set_xlim(0, 1)
    _plain(upper, lower)
    figure.suptitle(title, fontsize="small")
    return figure


def likely_shares(share: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The ends of the 95 % interval of shares that were taken of so many rows each.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"
    """
    z2 = 1.959964**2
    middle = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = (z2 * share * (1 - share) / rows + (z2 / (2 * rows)) ** 2).sqrt() / (1 + z2 / rows)
    return torch.minimum(middle - half, share), torch.maximum(middle + half, share)


def _residuals(residuals: Residuals, title: str) -> Figure:
    """Predicted against true, and how often each residual comes, a row an output; of many outputs, one box each."""
    if len(residuals.names) > FULL_OUTPUTS:
        return _many_residuals(residuals, title)
    names = residuals.names
    figure = Figure(figsize=(9.6, 0.6 + 3.6 * len(names)), layout="constrained")
    pairs = figure.subplots(len(names), 2, squeeze=False)
    for number, (name, (left, right)) in enumerate(zip(names, pairs, strict=True)):
        true, predicted = residuals.true[:, number], residuals.predicted[:, number]
        _scatter(left, true, predicted, name)
        _histogram(right, true - predicted, name)
    figure.suptitle(title, fontsize="small")
    return figure


def _many_residuals(residuals: Residuals, title: str) -> Figure:
    """Predicted against true of some outputs, evenly spaced, and the spread of the residuals of all."""
    count = len(residuals.names)
    drawn = torch.linspace(0, count - 1, COLUMNS).round().long().tolist()
    figure = Figure(figsize=(9.6, 6.8), layout="constrained")
    places = figure.add_gridspec(2, COLUMNS)
    for column, number in enumerate(drawn):
        axes = figure.add_subplot(places[0, column])
        _scatter(axes, residuals.true[:, number], residuals.predicted[:, number], residuals.names[number])
    axes = figure.add_subplot(places[1, :])
    boxes = axes.boxplot(
        (residuals.true - residuals.predicted).numpy(), whis=(5, 95), showfliers=False, patch_artist=True
    )
    for box in boxes["boxes"]:
        box.set(facecolor=TRAIN, alpha=0.5)
    for median in boxes["medians"]:
        median.set(color=TEST)
    axes.axhline(0.0, color="#555555", lw=1, ls="--")
    named = range(0, count, -(-count // NAMED_OUTPUTS))
    axes.set_xticks([number + 1 for number in named], [short(residuals.names[number]) for number in named])
    axes.set_ylabel("true - predicted")
    axes.set_title("Residuals: median, half of them in the box, 90 % within the whiskers", fontsize="medium")
    _plain(axes)
    figure.suptitle(title, fontsize="small")
    return figure


def _scatter(axes: Axes, true: torch.Tensor, predicted: torch.Tensor, name: str) -> None:
    drawn = torch.linspace(0, len(true) - 1, min(POINTS, len(true))).long()
    size = 10 if len(drawn) > FEW else 30
    both = torch.cat((true, predicted))
    low, high = float(both.min()), float(both.max())
    axes.plot([low, high], [low, high], color="#555555", ls="--", lw=1, label="predicted = true")
    axes.scatter(true[drawn].tolist(), predicted[drawn].tolist(), s=size, color=TRAIN, alpha=0.5, linewidths=0)
    axes.set_xlabel(f"true {short(name)}")
    axes.set_ylabel(f"predicted {short(name)}")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(frameon=False, loc="upper left")
    _plain(axes)


def _histogram(axes: Axes, residuals: torch.Tensor, name: str) -> None:
    edges = np.histogram_bin_edges(residuals.numpy(), "auto")
    axes.hist(residuals.numpy(), bins=min(MOST_BARS, len(edges) - 1), color=TRAIN, edgecolor="white", linewidth=0.5)
    axes.axvline(float(residuals.mean()), color=TEST, lw=1.5, label=f"mean {float(residuals.mean()):.3g}")
    axes.axvline(0.0, color="#555555", lw=1, ls="--")
    axes.set_xlabel(f"residual of {short(name)}: true - predicted")
    _counts_rows(axes)
    axes.legend(frameon=False)
    _plain(axes)


def _counts_rows(axes: Axes) -> None:
    axes.set_ylabel("rows")
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))


def _plain(*many: Axes) -> None:
    for axes in many:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
