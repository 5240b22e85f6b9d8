"""Nodes with numbers in them, and arrows between them, as the figures of docs/backpropagation draw them."""

from matplotlib.axes import Axes
from torch import Tensor

from mytorch.data.palette import BLUE, VERMILION

GREY, LINE = "#999999", "#777777"
FORWARD, BACKWARD = BLUE, VERMILION
"""The colours of values and of gradients."""

Place = tuple[float, float]


def node(axes: Axes, place: Place, text: str, colour: str, name: str = "", below: bool = False) -> None:
    """A rounded box with a text, and its name above or below it."""
    x, y = place
    style = {"boxstyle": "round,pad=0.45,rounding_size=0.9", "facecolor": "white", "edgecolor": colour, "linewidth": 2}
    axes.text(x, y, text, ha="center", va="center", bbox=style, size=12)
    side, align = (-0.34, "top") if below else (0.34, "bottom")
    axes.text(x, y + side, name, ha="center", va=align, size=10.5, color=colour)


def edge(
    axes: Axes,
    start: Place,
    end: Place,
    text: str = "",
    colour: str = LINE,
    *,
    at: float = 0.5,
    gaps: tuple[float, float] = (18, 18),
    line: str = "-",
    line_colour: str = LINE,
) -> None:
    """An arrow with a text on it; `at` is where, from 0 at its start to 1, and `gaps` what its two ends keep free."""
    style = {"arrowstyle": "-|>", "color": line_colour, "shrinkA": gaps[0], "shrinkB": gaps[1], "linestyle": line}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
    x, y = (from_ + (to - from_) * at for from_, to in zip(start, end, strict=True))
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    if text:
        axes.text(x, y, text, ha="center", va="center", size=11, color=colour, bbox=box)


def frame(axes: Axes, width: tuple[float, float], height: tuple[float, float], title: str) -> None:
    """No axes, equal scales, and a title."""
    axes.set_xlim(*width)
    axes.set_ylim(*height)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title, loc="left")


def number(value: float | Tensor) -> str:
    """Three digits at most, without a sign before zero."""
    return f"{round(float(value), 3) + 0:.3g}"
