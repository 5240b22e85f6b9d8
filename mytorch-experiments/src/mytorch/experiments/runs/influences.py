"""Which training rows of a run made one of its predictions."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, Module, View, fetch
from mytorch.core.batch import rows_within
from mytorch.data.transforms import Parts
from mytorch.experiments.file.build import build_data, default_dtype, naming_file, threads, without_split_warnings
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.origin import Origin
from mytorch.experiments.file.parts import build_part
from mytorch.experiments.predict.new_rows import rows_to_judge
from mytorch.experiments.runs.run import Run
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE
from mytorch.plugins import shown, whole_file
from mytorch.train.device import CPU, device_of, move
from mytorch.train.errors import RunError
from mytorch.train.evaluation import evaluate, judging, predict
from mytorch.train.quantities import influence
from mytorch.train.quantities.influence_of_rows import BATCH

PARTS = ("test", "validation", "training")


@dataclass(frozen=True)
class Influences:
    """The influence of each training row on the loss of one prediction.

    row: what was predicted, such as "row 3 of the test part".
    target, predicted, loss: its target, what the run says of it, and how far that is off.
    training: the rows that it was trained on.
    values: (rows,), float64; a row with a positive one lowers the loss. damping: as `influence` was given it.
    """

    row: str
    target: str
    predicted: str
    loss: float
    training: Origin
    values: Tensor
    damping: float | None

    @property
    def order(self) -> list[int]:
        """The training rows from the most helpful to the most harmful."""
        found: list[int] = self.values.argsort(descending=True, stable=True).tolist()
        return found

    def write(self, path: Path) -> None:
        """Write all training rows in this order as a CSV file."""
        with whole_file(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([*self.training.headings, "influence"])
            for row in self.order:
                table.writerow([*self.training.cells(row), f"{self.values[row].item():.9g}"])


def influences_of_run(
    run: Run, row: str, part: str | None = None, source: Path | None = None, damping: float | None = None
) -> Influences:
    """The influence of the training rows of a run on its prediction for a row.

    row: its number in the file of its part, from 1, or its name, where rows have names.
    part: "test", "validation" or "training"; by default the first of these that there is.
    source: a file with targets that it is a row of instead.
    Raises RunError for a run without an experiment, ArgumentError for a row that is not there, and as `influence` does
        for a net or loss that mixes the rows of a batch.
    """
    with trained_on(run) as (experiment, loss, parts):
        if source is None:
            data, name = _part(parts, part)
        else:
            encoded = getattr(torch, experiment.dtype)
            data, name = rows_to_judge(source, run.kept, run.dtype, experiment.data.targets, encoded)
        place = _place(Origin.of(data), row, name, {} if source is not None else parts._asdict())
        one = View(data, [place])
        batch = move(fetch(one, torch.tensor([0])), device_of(run.net))
        size = rows_within(parts.training, BATCH)
        values = influence(run.net, loss, parts.training, batch, damping=damping, batch_size=size)
        value = evaluate(run.net, loss, one)["loss"]
        target, predicted = Origin.of(data).cells(place)[-1], _predicted(run, batch[0])
        training = Origin.of(parts.training)
        return Influences(f"row {row} of {name}", target, predicted, value, training, values[:, 0], damping)


@contextmanager
def trained_on(run: Run) -> Iterator[tuple[Experiment, Module, Parts]]:
    """Within this context, the experiment of a run, its loss and the parts of its data, as in the training.

    Raises RunError for a run without an experiment.
    """
    experiment = run.experiment
    if experiment is None:
        raise RunError(
            f"{run.path}: must have an {EXPERIMENT_FILE} that says which rows it was trained on, got a run trained "
            "from Python; use mytorch.train.quantities.influence(run.net, loss, rows, of)"
        )
    with threads(experiment.threads), default_dtype(experiment.dtype), naming_file(experiment):
        with without_split_warnings():  # they were given when it was trained
            parts = build_data(experiment)
        loss = build_part("loss", "loss", experiment.loss)
        loss.to(device_of(run.net))
        yield experiment, loss, parts


def _part(parts: Parts, name: str | None) -> tuple[DataSet, str]:
    held = {part: data for part, data in parts._asdict().items() if data is not None}
    name = next(part for part in PARTS if part in held) if name is None else name
    if name not in held:
        there = " and ".join(f"the {part} part" for part in held)
        raise ArgumentError(f"influence: part must be one that the run has, {there}, got {shown(name)}")
    return held[name], f"the {name} part"


def _place(origin: Origin, row: str, name: str, parts: dict[str, Any]) -> int:
    """Where a row is among those of its part. Raises ArgumentError if it is not there."""
    found = origin.find(row)
    if found is not None:
        return found
    held = {part: Origin.of(data) for part, data in parts.items() if data is not None}
    same = [part for part, other in held.items() if other.source is origin.source and other.find(row) is not None]
    where = f", which is a row of the {same[0]} part; choose it with --part {same[0]}" if same else ""
    numbers = origin.numbers.sort().values
    some = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} or {numbers[1]}"
    raise ArgumentError(
        f"influence: row must be one of the {len(numbers)} rows of {name}, by its number in the file or its name, "
        f"such as {some}, got {shown(row)}{where}"
    )


def _predicted(run: Run, inputs: Any) -> str:
    """What the run says of one row, as text."""
    with judging(run.net):
        said = run.head.read(move(predict(run.net, inputs), CPU))
    if said.labels is not None and said.probabilities is not None:
        return f"{said.labels[0]} ({said.probabilities.max().item():.1%})"
    if said.values is not None and said.values.numel() == 1:
        return f"{said.values.item():.6g}"
    return "-"
