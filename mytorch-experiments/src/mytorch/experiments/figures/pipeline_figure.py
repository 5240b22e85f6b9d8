"""When each stage of a pipeline computed what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.patches import Patch

from mytorch.data.palette import BLUE, VERMILION
from mytorch.experiments.figures.figures import new_figure, save

COLOURS = {"forward": BLUE, "backward": VERMILION}
NUMBERED = 1 / 45
"""A bar of less than this share of the width has no number: it would not fit."""


def draw_pipeline(pipeline: Mapping[str, Any], path: Path, run: str = "") -> Path:
    """Draw the last step of a training by a pipeline: a row for each stage, and a bar for each forward and backward.

    pipeline: `notes["pipeline"]` of the training, or of the summary of its run.
    run: its name, which stands above.
    Raises FileError.
    """
    stages = pipeline["times"]
    bars = [(row, *bar) for row, of_stage in enumerate(stages) for bar in of_stage]
    first = min((begin for *_, begin, _ in bars), default=0.0)
    width = max((end for *_, end in bars), default=0.0) - first
    figure, axes = new_figure(8.0, 1.6 + 0.5 * len(stages))
    for row, kind, number, begin, end in bars:
        at, long = 1000 * (begin - first), 1000 * (end - begin)
        axes.barh(row, long, left=at, height=0.8, color=COLOURS[kind], edgecolor="white", linewidth=0.5)
        if end - begin >= width * NUMBERED:
            axes.text(at + long / 2, row, str(number + 1), ha="center", va="center", color="white", fontsize="small")
    layers = pipeline["layers"]
    axes.set_yticks(range(len(stages)), [f"stage {row + 1}\n{_layers(layers[row])}" for row in range(len(stages))])
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds")
    axes.set_title(_title(pipeline))
    axes.spines[["top", "right"]].set_visible(False)
    legend = [Patch(color=colour, label=f"{kind} of a micro-batch") for kind, colour in COLOURS.items()]
    figure.legend(handles=legend, loc="outside lower center", ncols=2, frameon=False)
    if run:
        figure.suptitle(run, fontsize="small")
    return save(figure, path)


def _title(pipeline: Mapping[str, Any]) -> str:
    """What was measured, and what it would be if every forward and every backward took the same time."""
    stages = len(pipeline["times"])
    count = max((len(of_stage) // 2 for of_stage in pipeline["times"]), default=0)
    least = (stages - 1) / (count + stages - 1) if count else 0.0
    return (
        f"Stages wait for {pipeline['bubble']:.0%} of the time of the last step ({least:.0%} if all bars were alike)"
    )


def _layers(count: int) -> str:
    return f"{count} layer{'s' * (count != 1)}"
