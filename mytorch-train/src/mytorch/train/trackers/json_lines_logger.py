"""Numbers of a run as JSON, a line each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mytorch.train.trackers.tracker import Setting, Tracker, place

if TYPE_CHECKING:
    from mytorch.train.training import Training


class JSONLinesLogger(Tracker):
    """Write a run as JSON lines, for programs that follow it while it runs.

    The first line is {"settings": {...}}, the last {"status": "finished"}. Between them each epoch has a line with the
    numbers of the history, and {"batch": 20, "batch_loss": 0.31} stands for a step. {"figures": [...]} has the paths
    of the pictures in the run's folder. A number that is not finite is null.

    path: the file; None for `metrics.jsonl` in the folder that a Recorder keeps. What was there is replaced, but for
        the lines of a run that is resumed.
    every: the loss of every so many steps is written as `batch_loss`; None for none.
    gradient_norms: whether the norm of each parameter's gradient is written, measured on one batch an epoch.

    Example:
        >>> import json
        >>> import tempfile
        >>> from pathlib import Path
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.trackers import JSONLinesLogger
        >>> folder = tempfile.TemporaryDirectory()
        >>> path, net = f"{folder.name}/metrics.jsonl", Linear(2, 2)
        >>> options = {"epochs": 2, "batch_size": 20, "quiet": True, "callbacks": [JSONLinesLogger(path)]}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> [json.loads(line).get("epoch") for line in Path(path).read_text().splitlines()]
        [None, 1, 2, None]
        >>> folder.cleanup()
    """

    def __init__(self, path: str | None = None, every: int | None = None, gradient_norms: bool = True) -> None:
        super().__init__(every, gradient_norms)
        self.path = path
        self._file: TextIOWrapper | None = None

    def begin(self, run: Training, settings: Mapping[str, Setting]) -> None:
        """Open the file; of a run that is resumed, keep the lines up to where it goes on."""
        path = place("JSONLinesLogger", self.path, run, "metrics.jsonl")
        kept = _lines_until(path, run.epoch, self._steps) if run.resumed is not None else []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        self._file.writelines(kept)
        if not kept:
            self._write({"settings": dict(settings)})
        self._file.flush()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write one line."""
        self._write({**values} if "epoch" in values else {"batch": step, **values})

    def figures(self, paths: Sequence[Path], step: int) -> None:  # noqa: ARG002 - they are of the whole run
        """Write where the pictures are."""
        self._write({"figures": list(map(str, paths))})

    def end(self, status: str) -> None:
        """Say how the run ended, and close the file."""
        self._write({"status": status})
        if self._file is not None:
            self._file.close()

    def _write(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None  # since the training started
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in entry.items()}
        self._file.write(json.dumps(finite, allow_nan=False) + "\n")
        self._file.flush()


def _lines_until(path: Path, epoch: int, step: int) -> list[str]:
    """The lines of a file up to an epoch and a step; none if there is no such file, or another.

    What a full disk or a killed process left of a line is dropped.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [f"{line}\n" for line in lines if _is_until(line, epoch, step)]


def _is_until(line: str, epoch: int, step: int) -> bool:
    try:
        entry = json.loads(line)
        return "settings" in entry or entry.get("epoch", math.inf) <= epoch or entry.get("batch", math.inf) <= step
    except (ValueError, TypeError, AttributeError):
        return False
