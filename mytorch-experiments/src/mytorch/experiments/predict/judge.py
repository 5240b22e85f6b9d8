"""How good a model is on rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mytorch.core import DataSet, Metric, Module, metric_name
from mytorch.experiments.predict.head import Head
from mytorch.experiments.predict.image_samples import ImageSamples, first_filters, image_samples
from mytorch.experiments.predict.judgement import Confusion, Judge, Residuals
from mytorch.train.errors import NotFiniteError
from mytorch.train.evaluation import evaluate

NO_LOSS = "an output or target is not finite, or every target is ignored"
UNKNOWN = "an output is not finite, or the metric is not defined for these rows"


@dataclass
class Judgement:
    """The evaluation of a run on some rows.

    results: the loss and each metric, by name.
    rows, source: how many rows, and which.
    confusion: for a model that predicts classes; residuals: for one that predicts numbers; both None for others.
    skipped: rows that count only in `results`, because their output or target is not finite or not a class.
    baselines: the results, on the same rows, of a linear model and a constant that were fitted to the training rows;
        {} unless they were asked for.
    undefined: for each result that is NaN, the likely cause.
    higher: for each result that states it, whether higher is better.
    images: some of the rows, if they are images of classes.
    filters: the weights of the model's first convolution, if it is one of images; (filters, channels, height, width).
    """

    results: dict[str, float]
    rows: int
    source: str
    confusion: Confusion | None
    residuals: Residuals | None
    skipped: int
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)
    higher: dict[str, bool] = field(default_factory=dict)
    images: ImageSamples | None = None
    filters: Tensor | None = None

    @property
    def as_good(self) -> list[str]:
        """The baselines that the network beats in no result of which it is known whether higher is better."""
        return [
            name
            for name, found in self.baselines.items()
            if not any(
                self.results[result] > found[result] if higher else self.results[result] < found[result]
                for result, higher in self.higher.items()
            )
        ]

    def as_data(self) -> dict[str, Any]:
        """Everything for JSON: `results`, and beside them what is known of classes or numbers."""
        found: dict[str, Any] = dict(self.results)
        if self.confusion is not None:
            found["calibration_error"] = self.confusion.calibration_error
            found["confusion"] = {"classes": list(self.confusion.classes), "counts": self.confusion.counts.tolist()}
        if self.residuals is not None:
            found["residuals"] = self.residuals.statistics()
        if self.baselines:
            found["baselines"] = self.baselines
        return found | {"rows": self.rows}

    def require_defined(self, owner: str) -> None:
        """Raise NotFiniteError if a result is NaN, with the likely cause."""
        if self.undefined:
            told = ", ".join(f"{name}: {cause}" for name, cause in self.undefined.items())
            raise NotFiniteError(
                f"{owner}: every result must be a number, got nan for {self.rows} rows of {self.source} ({told}); "
                "judge it on other rows, or leave the metric out"
            )


def measure(
    net: Module, loss: Module, metrics: Sequence[Metric], data: DataSet, head: Head, source: str, target: str
) -> Judgement:
    """Measure a model on rows, by loss and metrics and by what its outputs mean.

    source: which rows they are; target: the name of what is told. Both are for the report.
    """
    gathered = Judge(head, target)
    results = evaluate(net, loss, data, [*metrics, gathered])
    results.pop(metric_name(gathered))
    causes = {"loss": NO_LOSS} | {metric_name(metric): getattr(metric, "undefined", "") for metric in metrics}
    undefined = {name: causes[name] or UNKNOWN for name, value in results.items() if math.isnan(value)}
    return Judgement(
        results,
        len(data),
        source,
        gathered.confusion,
        gathered.residuals,
        gathered.skipped,
        undefined=undefined,
        higher=directions(metrics),
        images=image_samples(data, gathered),
        filters=first_filters(net),
    )


def directions(metrics: Sequence[Metric]) -> dict[str, bool]:
    """Whether higher is better, for the loss and each metric that says so."""
    known = {metric_name(metric): getattr(metric, "higher_is_better", None) for metric in metrics}
    return {"loss": False} | {name: higher for name, higher in known.items() if higher is not None}
