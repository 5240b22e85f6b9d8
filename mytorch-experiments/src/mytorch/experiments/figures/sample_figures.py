"""What a network makes of some rows: forecasts with the history before them, and reconstructed images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, fetch
from mytorch.data.preparation.moments import INPUTS, TARGETS, Moments
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.experiments.figures.figures import TEST, TRAIN, VALIDATION, save
from mytorch.train.device import CPU, device_of, move
from mytorch.train.evaluation import judging, predict

FORECASTS, IMAGES = 6, 10
"""So many windows and images are drawn."""
SHOWN_HISTORY = 4
"""Of the history, at most so many times the steps of the horizon are drawn, and at least SHOWN_STEPS."""
SHOWN_STEPS = 24


def draw_forecasts(net: Module, data: Any, path: Path, title: str) -> Path | None:
    """Draw forecasts beside what came, and the history before, in the units of the target; of several, the first.

    None, and nothing is drawn, if the data are no windows of a time series, or the outputs no forecasts of them.
    """
    preparation = getattr(data, "preparation", None) or {}
    series = preparation.get(WINDOWS)
    if series is None:
        return None
    inputs, targets = fetch(data, _spaced(len(data), FORECASTS))
    y = _outputs(net, inputs)
    if not isinstance(y, Tensor) or not isinstance(targets, Tensor) or y.shape != targets.shape:
        return None
    learned = Moments.of(preparation, INPUTS)
    history = (inputs.double() if learned is None else learned.in_units(inputs))[
        ..., series["columns"].index(series["targets"][0])
    ]
    scaled = Moments.of(preparation, TARGETS)
    true, forecast = (
        (values.double() if scaled is None else scaled.in_units(values))[:, :: len(series["targets"])]
        for values in (targets, y)
    )
    history = history[:, -max(SHOWN_STEPS, SHOWN_HISTORY * series["horizon"]) :]
    return _save_forecasts(history, true, forecast, series["targets"][0], path, title)


def _save_forecasts(history: Tensor, true: Tensor, forecast: Tensor, name: str, path: Path, title: str) -> Path:
    """A picture a window, in which steps are counted from the end of the history."""
    from matplotlib.figure import Figure  # slow, and not every use of it draws

    rows = -(-len(history) // 2)
    figure = Figure(figsize=(9.6, 0.8 + 1.9 * rows), layout="constrained")
    before = range(1 - history.shape[1], 1)
    after = range(true.shape[1] + 1)
    marker = "o" if true.shape[1] == 1 else ""
    for number, axes in enumerate(figure.subplots(rows, 2, squeeze=False, sharex=True).flat):
        if number >= len(history):
            axes.set_axis_off()
            continue
        last = history[number, -1:]
        axes.plot(before, history[number].tolist(), color="#555555", lw=1.2, label="history")
        for values, colour, label in ((true, VALIDATION, "what came"), (forecast, TEST, "forecast")):
            line = torch.cat((last, values[number])).tolist()
            axes.plot(after, line, color=colour, lw=1.8, marker=marker, markevery=[-1], ms=4, label=label)
        axes.axvline(0, color="#555555", lw=0.8, ls=":")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if number % 2 == 0:
            axes.set_ylabel(name)
        if number >= 2 * (rows - 1):
            axes.set_xlabel("steps after the history")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title, fontsize="small")
    return save(figure, path)


def draw_reconstructions(net: Module, data: Any, path: Path, title: str) -> Path | None:
    """Draw images above what an autoencoder makes of them.

    None, and nothing is drawn, unless the targets are the inputs themselves, images of one or three channels, and the
    output, or its first entry, has their shape.
    """
    inputs, targets = fetch(data, _spaced(len(data), IMAGES))
    if not isinstance(inputs, Tensor) or inputs.dim() != 4 or inputs.shape[1] not in (1, 3):
        return None
    if not isinstance(targets, Tensor) or targets.shape != inputs.shape or not torch.equal(targets, inputs):
        return None
    y = _outputs(net, inputs)
    y = y[0] if isinstance(y, tuple) else y
    if not isinstance(y, Tensor) or y.shape != inputs.shape:
        return None
    from matplotlib.figure import Figure

    low, high = float(inputs.min()), float(inputs.max())
    figure = Figure(figsize=(9.6, 2.6), layout="constrained")
    axes = figure.subplots(2, len(inputs), squeeze=False)
    for row, (name, images) in enumerate((("image", inputs), ("reconstruction", y))):
        scaled = ((images.double() - low) / (high - low or 1.0)).clamp(0, 1).permute(0, 2, 3, 1)
        for column, image in enumerate(scaled):
            place = axes[row, column]
            place.imshow(image.squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
            place.set_xticks([])
            place.set_yticks([])
        axes[row, 0].set_ylabel(name, color=TRAIN)
    figure.suptitle(title, fontsize="small")
    return save(figure, path)


def _spaced(rows: int, count: int) -> Tensor:
    """Some rows, evenly spaced."""
    return torch.linspace(0, rows - 1, min(rows, count), dtype=torch.float64).round().long()


def _outputs(net: Module, inputs: Any) -> Any:
    with judging(net):
        return move(predict(net, move(inputs, device_of(net))), CPU)
