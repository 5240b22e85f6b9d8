"""Which steps of a sequence look at which: the weights of every layer of a network that tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mytorch.core import Detail, Module, fetch
from mytorch.experiments.figures.figures import save
from mytorch.train.device import device_of, move
from mytorch.train.drawing import calls_of
from mytorch.train.explain.shown import tokens_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEPS, LAYERS, HEADS = 32, 4, 4
"""So many steps, calls of layers and heads are drawn, the first of each."""
SIDE = 2.9


def draw_attention(net: Module, data: Any, path: Path, title: str) -> Path | None:
    """Draw the attention of the first sequence, a row for each layer and a picture for each head.

    Drawn is what layers tell in `forward_details` with steps on both of the last axes. None, and nothing is drawn, if
    no layer does.
    """
    if all(type(module).forward_details is Module.forward_details for module in net.modules()):
        return None
    inputs, _ = fetch(data, torch.zeros(1, dtype=torch.int64))
    told = _told(net, inputs)[:LAYERS]
    if not told:
        return None
    heads, tokens = [_heads(detail) for _, detail in told], tokens_of(data, inputs)
    from matplotlib.figure import Figure  # slow, and not every use of it draws

    columns = max(map(len, heads))
    figure = Figure(figsize=(max(4.8, SIDE * columns), 0.8 + SIDE * len(told)), layout="constrained")
    grid = figure.subplots(len(told), columns, squeeze=False)
    for (place, detail), matrices, row in zip(told, heads, grid, strict=True):
        for number, axes in enumerate(row):
            if number >= len(matrices):
                axes.set_axis_off()
                continue
            _draw(axes, matrices[number], tokens, detail)
            axes.set_title(f"{place}, {detail.axes[0]} {number}" if detail.axes[2:] else place, fontsize=8)
    down, right = told[0][1].axes[-2:]
    meaning = f"The first sequence: {down} down, {right} to the right; darker is more"
    figure.suptitle(f"{title}\n{meaning}", fontsize="small")
    return save(figure, path)


def _told(net: Module, inputs: Any) -> list[tuple[str, Detail]]:
    """What layers tell of steps and steps, in the order of their forwards, by their paths."""
    return [(each.path, detail) for each in calls_of(net, move(inputs, device_of(net))) for detail in each.looks]


def _heads(detail: Detail) -> Tensor:
    """The first steps of the first matrices, (heads, steps, steps)."""
    assert detail.values is not None  # as an axis with a name says
    values = detail.values.double().cpu()
    matrices = values if values.dim() == 3 else values.unsqueeze(0)
    return matrices[:HEADS, :STEPS, :STEPS]


def _draw(axes: Axes, matrix: Tensor, tokens: Sequence[str], detail: Detail) -> None:
    """A matrix from white to blue, in which small weights are seen, with the tokens beside it."""
    from matplotlib.colors import PowerNorm

    axes.imshow(matrix.tolist(), cmap="Blues", norm=PowerNorm(0.5, 0, max(float(matrix.max()), 1e-9)))
    assert detail.values is not None
    rows, columns = (
        list(tokens)[:shown] if len(tokens) == size else []
        for size, shown in zip(detail.values.shape[-2:], matrix.shape, strict=True)
    )
    if rows:
        axes.set_yticks(range(len(rows)), rows)
    if columns:
        axes.set_xticks(range(len(columns)), columns, rotation=90 if max(map(len, columns)) > 3 else 0)
    axes.tick_params(labelsize=6 if rows or columns else 7, length=0 if rows or columns else 2, pad=2)
