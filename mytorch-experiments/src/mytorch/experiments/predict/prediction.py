"""What a model says of rows, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, ShapeError
from mytorch.core.batch import rows_within
from mytorch.experiments.predict.head import Head, Predictions
from mytorch.train.batches import Batches
from mytorch.train.errors import NotFiniteError
from mytorch.train.evaluation import EVALUATION_BATCH


def predict_batches(
    data: DataSet, batch_size: int | None, outputs_of: Callable[[Any], Any], head: Head, owner: str
) -> Iterator[Predictions]:
    """What the outputs of each batch of rows mean.

    batch_size: 8192 if None, fewer of large rows.
    outputs_of: makes outputs of inputs; owner: whose they are, for errors.
    Raises NotFiniteError for an output that is no number, with its row.
    """
    row = 1
    batch_size = rows_within(data, EVALUATION_BATCH) if batch_size is None else batch_size
    for inputs, _ in Batches(data, batch_size):
        outputs = outputs_of(inputs)
        predictions = head.read(outputs)
        if not math.isfinite(outputs.sum().item()):  # half the time of asking each
            _require_finite(owner, outputs, row)
        row += len(outputs)
        yield predictions


def _require_finite(owner: str, outputs: Tensor, row: int) -> None:
    wrong = (~outputs.reshape(len(outputs), -1).isfinite().all(1)).nonzero()
    if len(wrong):
        bad = int(wrong[0])
        raise NotFiniteError(
            f"{owner}: every output must be finite, got {outputs[bad].tolist()} for row {row + bad} of the new "
            "rows; look for numbers there that are far outside of what the model was trained on"
        )


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of at least one batch as those of all rows.

    Raises ShapeError for sequences of different lengths with an output for each step.
    """
    shapes = [part.shape[1:] for part in parts]
    if other := [shape for shape in shapes if shape != shapes[0]]:
        raise ShapeError(
            "predict: outputs of all rows must have one shape, got those of sequences of different lengths, "
            f"{shapes[0]} and {other[0]}; predict one sequence at a time"
        )
    return Predictions(
        _joined([part.probabilities for part in parts]),
        _joined([part.values for part in parts]),
        parts[0].classes,
        _joined([part.indices for part in parts]),
        parts[0].digits,
        parts[0].names,
    )


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None
