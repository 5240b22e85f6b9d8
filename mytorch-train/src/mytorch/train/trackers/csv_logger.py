"""Numbers of a run as a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from mytorch.train.trackers.tracker import Setting, Tracker, place

if TYPE_CHECKING:
    from mytorch.train.training import Training


class CSVLogger(Tracker):
    """Write a run as a CSV file with a row an epoch: the history, and the norms of gradients.

    path: the file; None for `metrics.csv` in the folder that a Recorder keeps. What was there is replaced, but for the
        rows of a run that is resumed.
    gradient_norms: whether the norm of each parameter's gradient is a column, measured on one batch an epoch.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.trackers import CSVLogger
        >>> folder = tempfile.TemporaryDirectory()
        >>> path, net = f"{folder.name}/metrics.csv", Linear(2, 2)
        >>> options = {"epochs": 2, "batch_size": 20, "quiet": True, "callbacks": [CSVLogger(path)]}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> Path(path).read_text().splitlines()[0]
        'epoch,lr,seconds,train_loss,gradient_norm/weight,gradient_norm/bias'
        >>> folder.cleanup()
    """

    def __init__(self, path: str | None = None, gradient_norms: bool = True) -> None:
        super().__init__(None, gradient_norms)
        self.path = path
        self._file: TextIOWrapper | None = None
        self._columns: list[str] = []

    def begin(self, run: Training, settings: Mapping[str, Setting]) -> None:  # noqa: ARG002 - a table has no place
        """Open the file; of a run that is resumed, keep the rows up to where it goes on."""
        path = place("CSVLogger", self.path, run, "metrics.csv")
        norms = [f"gradient_norm/{name}" for name, _ in run.net.named_param()] if self.gradient_norms else []
        self._columns = ["epoch", "lr", "seconds", *run.columns, *norms]
        kept = _rows_until(path, run.epoch) if run.resumed is not None else []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", newline="")
        writer = csv.DictWriter(self._file, self._columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
        self._file.flush()

    def scalars(self, values: Mapping[str, float], step: int) -> None:  # noqa: ARG002 - a row has its epoch
        """Write one row; what was not measured in this epoch stays empty."""
        assert self._file is not None  # since the training started
        csv.DictWriter(self._file, self._columns, extrasaction="ignore").writerow(values)
        self._file.flush()

    def tested(self, values: Mapping[str, float], step: int) -> None:
        """Leave out what is taken once; the summary of the run's folder has it."""

    def end(self, status: str) -> None:  # noqa: ARG002 - a table has no place for it
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _rows_until(path: Path, epoch: int) -> list[dict[str, str]]:
    """The rows of a file up to an epoch; none if there is no such file, or another.

    What a full disk or a killed process left of a row is dropped.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return [row for row in csv.DictReader(file) if _is_until(row, epoch)]
    except (OSError, csv.Error):
        return []


def _is_until(row: dict[str, str], epoch: int) -> bool:
    try:
        return int(row["epoch"]) <= epoch and None not in row.values() and None not in row
    except (ValueError, KeyError, TypeError):
        return False
