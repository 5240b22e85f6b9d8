"""The loss over the learning rate."""

from __future__ import annotations

from pathlib import Path

from mytorch.experiments.figures.figures import TEST, TRAIN, new_figure, save
from mytorch.train.lr_range import LRRange


def draw_lr_range(found: LRRange, path: Path, title: str = "") -> Path:
    """Draw what a range test found: the loss of each batch, smoothed, and the suggested rate. Raises FileError."""
    figure, axes = new_figure()
    axes.plot(found.rates, found.losses, color=TRAIN, lw=1, alpha=0.35, label="each batch")
    axes.plot(found.rates, found.smoothed, color=TRAIN, lw=1.8, label="smoothed")
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color=TEST, lw=1.2, ls="--", label=f"suggested: {found.suggestion:.2g}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    if found.smoothed:
        low, high = min(found.smoothed), max(found.smoothed)
        axes.set_ylim(low - 0.1 * (high - low) - 1e-9, high + 0.1 * (high - low) + 1e-9)
    axes.set_title(title)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return save(figure, path)
