"""Images with what a model takes them for, and the filters of its first convolution."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mytorch.experiments.figures.figures import TEST
from mytorch.experiments.predict.image_samples import ImageSamples
from mytorch.experiments.tables.judgement_table import short

COLUMNS = 8
FILTERS = 64
"""Filters that are drawn: more are too small to be seen."""
INK, MARK = "#333333", 3.0


def draw_samples(samples: ImageSamples, title: str) -> Figure:
    """A grid of images: wrong predictions first, framed, with the true class behind the predicted one."""
    count = len(samples.images)
    low, high = min(0.0, float(samples.images.min())), max(1.0, float(samples.images.max()))
    figure, places = _grid(count, 1.3, 1.55)
    for number, axes in enumerate(places[:count]):
        _show(axes, samples.images[number], low, high)
        predicted, true = short(samples.predicted[number]), short(samples.true[number])
        wrong = number < samples.shown[0]
        axes.set_title(f"{predicted}\nnot {true}" if wrong else predicted, fontsize=8, color=TEST if wrong else INK)
        for side in axes.spines.values():
            side.set(visible=wrong, color=TEST, linewidth=MARK)
    told = [
        f"{shown} of {rows} {word} predictions{', framed,' if word == 'wrong' else ''}"
        for word, shown, rows in zip(("wrong", "right"), samples.shown, samples.rows, strict=True)
        if shown
    ]
    figure.suptitle(f"{title}\n{' and '.join(told)}", fontsize="small")
    return figure


def draw_filters(filters: Tensor, title: str) -> Figure:
    """The filters of a convolution: grey ones from blue (negative) to red, those of three channels in colour."""
    shown = filters[:FILTERS]
    figure, places = _grid(len(shown), 0.9, 0.9)
    largest = float(shown.abs().max())
    for filter_, axes in zip(shown, places, strict=False):
        if len(filter_) == 1:
            axes.imshow(filter_[0].tolist(), cmap="RdBu_r", vmin=-largest, vmax=largest)
        else:
            _show(axes, filter_, float(filter_.min()), float(filter_.max()))
    more = f", {len(shown)} of {len(filters)}" if len(filters) > len(shown) else ""
    colours = "red is positive, blue negative" if filters.shape[1] == 1 else "each stretched to its own range"
    figure.suptitle(f"{title}\nThe filters of the first convolution{more}; {colours}", fontsize="small")
    return figure


def _grid(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with axes for so many small images, without ticks; the places that are left over stay empty."""
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    size = max(4.8, columns * width), 0.7 + rows * height
    figure = Figure(figsize=size, layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for number, axes in enumerate(places):
        axes.set(xticks=[], yticks=[])
        if number >= count:
            axes.set_axis_off()
    return figure, places


def _show(axes: Axes, image: Tensor, low: float, high: float) -> None:
    """Draw an image in grey or in colour, with `low` as black and `high` as white."""
    image = (image - low) / (high - low or 1.0)
    if len(image) == 1:
        axes.imshow(image[0].tolist(), cmap="gray", vmin=0, vmax=1)
    else:
        axes.imshow(image.movedim(0, -1).tolist())
