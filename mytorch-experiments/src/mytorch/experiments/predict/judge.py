"""How good a model is on rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mytorch.core import DataSet, Metric, Module, metric_name
from mytorch.experiments.predict.head import Head
from mytorch.experiments.predict.judgement import Confusion, Judge, Residuals
from mytorch.train.evaluation import evaluate


@dataclass
class Judgement:
    """What a run is worth on some rows.

    results: the loss and each metric, by name.
    rows, source: how many rows, and which.
    confusion: of a model that tells classes; residuals: of one that gives numbers; both None if its output is neither.
    skipped: rows that count in `results` alone, since their output or target is not finite or no class.
    """

    results: dict[str, float]
    rows: int
    source: str
    confusion: Confusion | None
    residuals: Residuals | None
    skipped: int

    def as_data(self) -> dict[str, Any]:
        """Everything as JSON holds it: `results`, and beside them what is known of classes or numbers."""
        found: dict[str, Any] = dict(self.results)
        if self.confusion is not None:
            found["calibration_error"] = self.confusion.calibration_error
            found["confusion"] = {"classes": list(self.confusion.classes), "counts": self.confusion.counts.tolist()}
        if self.residuals is not None:
            found["residuals"] = self.residuals.statistics()
        return found | {"rows": self.rows}


def measure(
    net: Module, loss: Module, metrics: Sequence[Metric], data: DataSet, head: Head, source: str, target: str
) -> Judgement:
    """Measure a model on rows, by loss and metrics and by what its outputs mean.

    source: which rows they are; target: the name of what is told. Both are for the report.
    """
    gathered = Judge(head, target)
    results = evaluate(net, loss, data, [*metrics, gathered])
    results.pop(metric_name(gathered))
    return Judgement(results, len(data), source, gathered.confusion, gathered.residuals, gathered.skipped)
