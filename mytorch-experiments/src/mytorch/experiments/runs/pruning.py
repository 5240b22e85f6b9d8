"""How much each training row teaches, by the gradients of runs, and which rows to keep."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, Module
from mytorch.core.batch import rows_within
from mytorch.experiments.file.origin import Origin
from mytorch.experiments.runs.influences import trained_on
from mytorch.experiments.runs.run import Run
from mytorch.plugins import whole_file
from mytorch.train.batches import Batches
from mytorch.train.device import device_of
from mytorch.train.evaluation import judging
from mytorch.train.quantities.errors_of_samples import weighed_error_norms
from mytorch.train.quantities.influence_of_rows import BATCH
from mytorch.train.quantities.samples import weighed_sample_norms
from mytorch.train.quantities.shares import factors_of_rows

SCORES = {"error": weighed_error_norms, "gradient": weighed_sample_norms}
"""EL2N and GraNd."""


@dataclass(frozen=True)
class RowScores:
    """A score of each training row, the mean over some runs.

    by: "error" or "gradient", whose norms they are.
    training: the rows.  values: (rows,), float64.
    """

    by: str
    training: Origin
    values: Tensor

    def largest(self, share: float) -> list[int]:
        """The rows with the largest scores, a share of all of them, at least one, from the largest on."""
        count = max(1, round(share * len(self.values)))
        found: list[int] = self.values.argsort(descending=True, stable=True)[:count].tolist()
        return found

    def write(self, path: Path, rows: Sequence[int]) -> None:
        """Write these rows with their scores as a CSV file, in this order."""
        with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*self.training.headings, f"{self.by}_norm"])
            for row in rows:
                table.writerow([*self.training.cells(row), f"{self.values[row].item():.9g}"])


def row_scores(runs: Sequence[Run], by: str) -> RowScores:
    """The mean over runs of the scores of the rows that they were trained on, which must be the same.

    by: "error", the norm of the gradient with respect to the prediction, or "gradient", with respect to the weights.
    With class weights or ignored targets, it is the gradient of the row's share in the mean over all rows, times their
    number, so that scores do not depend on how rows are put into batches.
    Raises RunError for a run without an experiment, ArgumentError for runs of different rows, and as `sample_norms`.
    """
    origin: Origin | None = None
    found = []
    for run in runs:
        with trained_on(run) as (_, loss, parts):
            other = Origin.of(parts.training)
            if origin is not None and not origin.is_same(other):
                raise ArgumentError(
                    f"prune-data: runs must have been trained on the same rows, got {len(origin.numbers)} of "
                    f"{runs[0].path} and others, {len(other.numbers)}, of {run.path}"
                )
            origin = other
            found.append(_scores(run.net, loss, parts.training, by))
    if origin is None:
        raise ArgumentError("prune-data: runs must be at least one, got none")
    return RowScores(by, origin, torch.stack(found).mean(0))


def _scores(net: Module, loss: Module, data: DataSet, by: str) -> Tensor:
    data = getattr(data, "plain", data)
    batches = Batches(data, rows_within(data, BATCH))
    batches.device = device_of(net)
    with judging(net):
        norms, weights = zip(*(SCORES[by](net, loss, inputs, targets) for inputs, targets in batches), strict=True)
    factors = factors_of_rows(loss, [len(each) for each in norms], weights)
    return torch.cat([each.double().cpu() for each in norms]) * factors
