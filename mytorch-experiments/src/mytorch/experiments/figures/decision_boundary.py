"""A figure of the regions in which a net predicts each class, and the same epoch by epoch as an animation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mytorch.core import Module, ShapeError, random_state
from mytorch.data.as_written import as_written
from mytorch.data.palette import COLOURS, colours_of
from mytorch.experiments.figures.figures import new_figure, save
from mytorch.experiments.figures.plane import Plane, Points, obstacle, sample
from mytorch.experiments.tables.judgement_table import short
from mytorch.plugins import whole_file
from mytorch.train.evaluation import evaluate
from mytorch.train.metrics.metrics import ErrorRate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.figure import Figure
    from PIL.Image import Image

LINE = "#333333"
FRAME_MILLISECONDS, LAST_MILLISECONDS = 100, 2000
ANIMATION_DPI = 80
MOST_DRAWN_OUT = 4
"""Axes are equal unless one is so many times as long as the other: its column is then of another unit."""
Frame = tuple[str, Tensor]
"""A title and the margins of the classes, as Plane gives them."""


def draw_decision_boundary(net: Module, data: Any, path: str | Path, *, test: Any = None, title: str = "") -> Path:
    """Draw, over the plane of two input columns, which class a net predicts, and the points of the data, among them
    those that it takes for another class.

    data: the training rows, with two input columns and classes. If its `preparation` says that the columns were
        standardised, the figure is in their original units.
    test: other rows, whose error rate is shown in the title.
    title: the text above the figure, such as the name of a run.
    Raises ShapeError if there is no such plane, RunError if the figure cannot be written.
    """
    if found := obstacle(net, data):
        raise ShapeError(f"draw_decision_boundary: data must have two input columns and classes, got {found}")
    plane, judged = Plane.of(data), data if test is None else test
    with random_state():
        wrong = evaluate(net, None, judged, [ErrorRate()])["error_rate"]
    figure, axes = _points_alone(plane, None if test is None else sample(test))
    _shade(axes, plane, plane.margins(net))
    parts = {"train": data} if test is None else {"train": data, "test": test}
    _mark_wrong(axes, {name: sample(part, net) for name, part in parts.items()})
    axes.set_title(f"Decision boundary: {'train' if test is None else 'test'} error rate {wrong:.4g}")
    _legend(axes)
    if title:
        figure.suptitle(title, fontsize="small")
    return save(figure, Path(path))


def animate_decision_boundary(plane: Plane, frames: Sequence[Frame], path: Path) -> Path:
    """Draw frames one after the other into an animated GIF that stays longer at the last. Raises RunError."""
    from PIL.Image import Dither

    images = list(_images(plane, frames))
    palette = images[-1].quantize(128)
    drawn = [image.quantize(palette=palette, dither=Dither.NONE) for image in images]
    durations = [FRAME_MILLISECONDS] * (len(drawn) - 1) + [LAST_MILLISECONDS]
    with whole_file(path) as beside:
        drawn[0].save(beside, "GIF", save_all=True, append_images=drawn[1:], duration=durations, loop=0)
    return path


def _images(plane: Plane, frames: Sequence[Frame]) -> Iterator[Image]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL.Image import frombuffer

    figure, axes = _points_alone(plane, None)
    figure.set_dpi(ANIMATION_DPI)
    canvas = FigureCanvasAgg(figure)
    _legend(axes)
    for title, margins in frames:
        axes.set_title(title)
        shades = _shade(axes, plane, margins)
        with as_written(figure):
            canvas.draw()  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # found once: it takes as long as the drawing, and the frames would shake
        pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
        yield frombuffer("RGBA", canvas.get_width_height(), pixels).convert("RGB")
        for shade in shades:
            shade.remove()


def _shade(axes: Axes, plane: Plane, margins: Tensor) -> list[ContourSet]:
    """Fill the region of each class and draw the lines between them."""
    drawn: list[ContourSet] = []
    x, y = plane.axes()
    for index, margin in enumerate(margins):
        low, high = float(margin.min()), float(margin.max())
        if high > 0:
            style: dict[str, Any] = {"colors": [_colour(plane.classes, index)], "alpha": 0.25}
            drawn.append(axes.contourf(x, y, margin, levels=[0, high], **style))
        if index and low < 0 < high:
            drawn.append(axes.contour(x, y, margin, levels=[0], colors=[LINE], linewidths=1.2))
    return drawn


def _points_alone(plane: Plane, test: Points | None) -> tuple[Figure, Axes]:
    """A figure with the training points by class, and the test points with a dark edge."""
    figure, axes = new_figure(6.8, 4.8)
    _scatter(axes, plane.points, "none", plane.classes)
    if test is not None:
        _scatter(axes, test, LINE, plane.classes, named=False)
        axes.scatter([], [], s=25, color="white", edgecolors=LINE, linewidths=0.7, label="test")
    axes.set_xlabel(plane.names[0])
    axes.set_ylabel(plane.names[1])
    axes.set_xlim(float(plane.low[0]), float(plane.high[0]))
    axes.set_ylim(float(plane.low[1]), float(plane.high[1]))
    width, height = (plane.high - plane.low).tolist()
    if max(width, height) <= MOST_DRAWN_OUT * min(width, height):
        axes.set_aspect("equal")  # a disk is drawn as one
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _mark_wrong(axes: Axes, parts: Mapping[str, Points]) -> None:
    """Cross the points out that are taken for another class, and count those of each part."""
    wrong = torch.cat([points.wrong for points in parts.values()])
    if len(wrong):
        counts = ", ".join(f"{len(points.wrong)} {name}" for name, points in parts.items())
        x, y = wrong.T
        axes.scatter(x, y, s=30, marker="x", color="black", linewidths=1.2, zorder=3, label=f"wrong ({counts})")


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, borderaxespad=0.0)


def _scatter(axes: Axes, points: Points, edge: str, names: Sequence[str] | None, named: bool = True) -> None:
    """The points of each class. names: of the classes, None for their numbers. named: whether the legend has them."""
    size = max(5.0, min(30.0, 8_000 / len(points.classes)))
    for index in points.classes.unique().tolist():
        label = f"class {index}" if names is None else short(names[index]) if index < len(names) else None
        style: dict[str, Any] = {"color": _colour(names, index), "edgecolors": edge, "linewidths": 0.7}
        x, y = points.places[points.classes == index].T
        axes.scatter(x, y, s=size, zorder=2, label=label if named else None, **style)


def _colour(names: Sequence[str] | None, index: int) -> str:
    """That of a class, also of one that has no name."""
    return colours_of(names)[index] if names is not None and index < len(names) else COLOURS[index % len(COLOURS)]
