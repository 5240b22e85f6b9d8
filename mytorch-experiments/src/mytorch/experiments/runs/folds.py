"""What the folds of a cross-validation came to, in the folder that holds their runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mytorch.experiments.runs.run_folder import plain
from mytorch.plugins import write_file
from mytorch.train.errors import RunError
from mytorch.train.weights import read_json

FOLDS_FILE = "folds.json"


@dataclass(frozen=True)
class Spread:
    """One number over the folds: its mean and its standard deviation, by n - 1."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of several values."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.deviation:.2g}"


@dataclass
class Folds:
    """A cross-validation: a model trained once for each fold of the rows, and evaluated on that fold.

    path: the folder that contains the runs.  folds: how many are planned.  runs: those that are done, by folder.
    results: loss and metrics of each run's test part.  status: as that of a run.
    """

    path: Path
    folds: int
    status: str = "running"
    runs: list[str] = field(default_factory=list)
    results: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def spreads(self) -> dict[str, Spread]:
        """Mean and deviation of the loss and each metric over the folds that are done."""
        names = self.results[0] if self.results else ()
        return {name: Spread.of([result[name] for result in self.results]) for name in names}

    def write(self) -> None:
        """Write it to its folder."""
        kept = {name: value for name, value in asdict(self).items() if name != "path"}
        told = {name: asdict(spread) for name, spread in self.spreads.items()}
        write_file(self.path / FOLDS_FILE, json.dumps(plain({**kept, "spreads": told}), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Folds:
        """Read it from its folder. Raises RunError for a file that `write` did not make."""
        told: Any = read_json(path / FOLDS_FILE)
        try:
            results = [{name: _number(value) for name, value in result.items()} for result in told["results"]]
            return cls(path, int(told["folds"]), str(told["status"]), list(told["runs"]), results, told["seconds"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise RunError(f"{path / FOLDS_FILE}: must be as train --folds wrote it, got {error!r}") from error


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
