"""What a model says of rows, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from mytorch.core import DataSet, ShapeError
from mytorch.core.batch import rows_within
from mytorch.data.rounding import is_padded, padding_of
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
        predictions = read_outputs(inputs, outputs_of(inputs), head, owner, row)
        row += len(predictions)
        yield predictions


def read_outputs(inputs: Any, outputs: Any, head: Head, owner: str, row: int = 1) -> Predictions:
    """What the outputs of one batch mean, as for `predict_batches`; row: the number of its first row, for errors."""
    predictions = head.read(outputs)
    first = outputs[0] if isinstance(outputs, tuple) else outputs
    for each in (first, *predictions.others):
        if each.is_floating_point() and not math.isfinite(each.sum().item()):  # half the time of asking each
            _require_finite(owner, each, row)
    return by_steps(predictions, inputs) if is_padded(inputs) else predictions


def _require_finite(owner: str, outputs: Tensor, row: int) -> None:
    wrong = (~outputs.reshape(len(outputs), -1).isfinite().all(1)).nonzero()
    if len(wrong):
        bad = int(wrong[0])
        raise NotFiniteError(
            f"{owner}: every output must be finite, got {outputs[bad].tolist()} for row {row + bad} of the new "
            "rows; look for numbers there that are far outside of what the model was trained on"
        )


def joined(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of at least one batch as those of all rows; those of steps are padded to the longest sequence.

    Raises ShapeError for outputs of other shapes.
    """
    if all(part.lengths is not None for part in parts):
        longest = max(part.shape[part.steps] for part in parts)
        parts = [_lengthened(part, longest) for part in parts]
    shapes = [part.shape[1:] for part in parts]
    if other := [shape for shape in shapes if shape != shapes[0]]:
        raise ShapeError(
            f"predict: outputs of all rows must have one shape, got {shapes[0]} and {other[0]}; predict rows of one "
            "shape at a time"
        )
    others = [[tuple(each.shape[1:]) for each in part.others] for part in parts]
    if different := [shapes for shapes in others if shapes != others[0]]:
        raise ShapeError(
            f"predict: further outputs of all rows must have one shape, got {others[0]} and {different[0]}; predict "
            "rows of one shape at a time"
        )
    return Predictions(
        _joined([part.probabilities for part in parts]),
        _joined([part.values for part in parts]),
        parts[0].classes,
        _joined([part.indices for part in parts]),
        parts[0].digits,
        parts[0].names,
        _joined([part.lengths for part in parts]),
        tuple(torch.cat(tensors) for tensors in zip(*(part.others for part in parts), strict=True)),
    )


def by_steps(predictions: Predictions, inputs: Mapping[str, Tensor]) -> Predictions:
    """The predictions of padded sequences with their lengths, and without what was said of the padding; as they are
    where the steps of a sequence have none of their own.
    """
    found = replace(predictions, lengths=inputs["lengths"].to(torch.int64, copy=True))
    if len(found.shape) != 3 or found.shape[found.steps] != inputs["x"].shape[1]:
        return predictions
    padding = padding_of(inputs)
    if found.values is not None:
        return replace(found, values=found.values.masked_fill(padding.unsqueeze(2), math.nan))
    assert found.probabilities is not None  # of classes, which have them with indices
    assert found.indices is not None
    probabilities = found.probabilities.masked_fill(padding.unsqueeze(1), 0)
    return replace(found, probabilities=probabilities, indices=found.indices.masked_fill(padding, -1))


def _lengthened(part: Predictions, steps: int) -> Predictions:
    """The same with more padding."""
    more = steps - part.shape[part.steps]
    if part.values is not None:
        return replace(part, values=pad(part.values, (0, 0, 0, more), value=math.nan))
    assert part.probabilities is not None
    assert part.indices is not None
    return replace(
        part, probabilities=pad(part.probabilities, (0, more)), indices=pad(part.indices, (0, more), value=-1)
    )


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None
