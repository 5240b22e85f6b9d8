"""A figure of the points of a data set with two columns."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mytorch.core import DataSet, MytorchError, ShapeError
from mytorch.data.as_written import as_written
from mytorch.data.palette import colours_of
from mytorch.plugins import refuse_overwrite, whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
FORMATS = (".png", ".svg", ".pdf")


class PlotError(MytorchError, ImportError):
    """The library that draws is absent; the text has the command to install it."""


def require_plot(path: Path, force: bool = False) -> None:
    """Raise unless a figure could be written to `path`, so that one knows before the work."""
    refuse_overwrite(path, force, suffixes=FORMATS)
    _figure_class()


def plot_points(dataset: DataSet, path: str | Path, title: str | None = None, force: bool = False) -> Path:
    """Draw the points, coloured by class, and the curve that `dataset.boundary()` gives, if it has one.

    Raises ShapeError unless there are two columns, PlotError without matplotlib, FileError if the file exists.
    """
    path = Path(path)
    require_plot(path, force)
    figure = _draw(dataset, title)
    with whole_file(path) as beside, as_written(figure):
        figure.savefig(beside, format=path.suffix[1:].lower(), dpi=150, bbox_inches="tight", facecolor="white")
    return path


def _draw(dataset: DataSet, title: str | None) -> "Figure":
    points, targets = dataset[:]
    if points.dim() != 2 or points.shape[1] != 2:
        raise ShapeError(f"plot_points: points must have two columns, got inputs of {tuple(points.shape)}")
    figure = _figure_class()(figsize=(6.4, 5.0), layout="constrained")
    axes = figure.add_subplot()
    size = max(3.0, min(30.0, 16_000 / len(points)))  # a thousand points stay apart, and ten of them can be seen
    names = _class_names(dataset, targets)
    for index, (name, colour) in enumerate(zip(names, colours_of(names), strict=True)):
        x, y = points[targets == index].double().T.tolist() if bool((targets == index).any()) else ([], [])
        style: dict[str, Any] = {"color": colour, "marker": MARKERS[index % 8], "s": size}
        axes.scatter(x, y, label=f"{name} ({len(x)})", linewidths=0, alpha=0.85, **style)
    if hasattr(dataset, "boundary"):
        axes.plot(*dataset.boundary().T.tolist(), color="#333333", linewidth=1.3, label="true boundary")
    axes.set_title(title or f"{type(dataset).__name__}: {len(points)} points", loc="left", pad=10)
    _finish(axes, dataset)
    return figure


def _class_names(dataset: DataSet, targets: torch.Tensor) -> list[str]:
    if targets.dim() != 1 or targets.is_floating_point():
        raise ShapeError(
            f"plot_points: targets must be class indices of shape (rows,), got {targets.dtype} {tuple(targets.shape)}"
        )
    return list(dataset.classes or (f"class {index}" for index in range(int(targets.max()) + 1)))


def _finish(axes: "Axes", dataset: DataSet) -> None:
    axes.set_aspect("equal")
    x, y = dataset.columns or ("x", "y")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0, frameon=False, markerscale=1.6)


def _figure_class() -> "type[Figure]":
    try:
        from matplotlib.figure import Figure  # without pyplot: no global state, no window
    except ImportError as error:
        raise PlotError(
            "plot: matplotlib is not installed. Install: python -m pip install './mytorch-data[plot]'"
        ) from error
    return Figure
