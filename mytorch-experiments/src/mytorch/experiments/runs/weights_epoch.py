"""Of which epoch the weights of a run are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mytorch.plugins import MytorchWarning
from mytorch.train.sealed import read_texts
from mytorch.train.weights import EPOCH, WEIGHTS_FILE


class RunWarning(MytorchWarning):
    """A run is not what its folder may look like, such as one whose weights are older than its history."""


def weights_epoch(path: Path) -> int | None:
    """After how many epochs the weights of a run folder were written; None if they do not say."""
    text = read_texts(path / WEIGHTS_FILE).get(EPOCH, "")
    return int(text) if text.isdecimal() else None


def older_weights(path: Path, history: Sequence[dict[str, float]]) -> str | None:
    """What to say of weights that are older than the history; None if they are not."""
    epoch = weights_epoch(path)
    last = int(history[-1].get("epoch", 0)) if history else 0
    if epoch is None or epoch >= last:
        return None
    of = "those before the first epoch" if epoch == 0 else f"those of epoch {epoch}"
    return (
        f"its weights are {of}, while its history has {last} epochs: the process still trains, or was ended before it "
        f"could write others; if it has ended, go on with: mytorch resume {path}"
    )
