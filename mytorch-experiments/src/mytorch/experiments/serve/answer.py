"""Predictions as the body of an answer."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from mytorch.experiments.predict.head import Predictions
from mytorch.experiments.predict.predictions_file import arrays_of, csv_of, has_lines, steps_of
from mytorch.experiments.serve.media import CSV, JSON, NPZ
from mytorch.experiments.serve.refusal import Refusal

MADE = (JSON, CSV, NPZ)
RowNames = tuple[str, Sequence[str]] | None


def answer_of(media: str, predictions: Predictions, row_names: RowNames, warnings: Sequence[str]) -> bytes:
    """Predictions in a media type of `MADE`: CSV and NPZ as `mytorch predict` writes them, JSON with every digit.

    row_names: what tells the rows apart, and a text for each.  warnings: that JSON has beside the predictions.
    Raises Refusal for a CSV of what is more than a line for each row.
    """
    if media == JSON:
        told: dict[str, Any] = {"predictions": as_json(predictions, row_names)}
        if predictions.indices is not None and not has_lines(predictions):
            told["classes"] = list(predictions.classes)
        return json.dumps(told | ({"warnings": list(warnings)} if warnings else {}), ensure_ascii=False).encode()
    if media == CSV:
        if not has_lines(predictions):
            raise Refusal(
                406,
                f"request: Accept must allow {JSON} or {NPZ} for a model that gives {predictions.shape[1:]} for each "
                f"row, got {CSV} alone",
            )
        return csv_of(predictions, row_names).encode()
    file = io.BytesIO()
    np.savez(file, **arrays_of(predictions, row_names, "request"))
    return file.getvalue()


def as_json(predictions: Predictions, row_names: RowNames = None) -> list[dict[str, Any]]:
    """An object for each row.

    Classes: `prediction`, the label, and `probabilities` by label. Numbers: `prediction`, a number or, of several, an
    object by their names or a list. Where each step of a sequence has its own, `steps` is a list of these objects.
    Where a row has places, such as pixels, `prediction` has the index of the class of each, and `probabilities` those
    of each class. `name` tells the rows apart where they have names; `output_1` and so on are further outputs.
    """
    rows = _rows(predictions)
    for number, values in enumerate(predictions.others, 1):
        for row, value in zip(rows, values.tolist(), strict=True):
            row[f"output_{number}"] = value
    if row_names is None:
        return rows
    return [{"name": name, **row} for name, row in zip(row_names[1], rows, strict=True)]


def _rows(predictions: Predictions) -> list[dict[str, Any]]:
    if predictions.lengths is not None:
        return [{"steps": _rows(steps_of(predictions, row))} for row in range(len(predictions))]
    if predictions.values is not None:
        return [{"prediction": _numbers(value, predictions.names)} for value in predictions.values.tolist()]
    assert predictions.probabilities is not None  # which classes have
    assert predictions.indices is not None
    shares = predictions.probabilities.tolist()
    if (labels := predictions.labels) is None:
        pairs = zip(predictions.indices.tolist(), shares, strict=True)
        return [{"prediction": index, "probabilities": share} for index, share in pairs]
    return [
        {"prediction": label, "probabilities": dict(zip(predictions.classes, share, strict=True))}
        for label, share in zip(labels, shares, strict=True)
    ]


def _numbers(value: list[Any], names: Sequence[str]) -> Any:
    if len(value) == 1:
        return value[0]
    return dict(zip(names, value, strict=True)) if names else value


def answer_schema() -> dict[str, Any]:
    """The JSON Schema of an answer in JSON."""
    row = {
        "type": "object",
        "description": (
            "prediction: the label of a class, with the probabilities of all, or a number in the target's units; "
            "where a row has places, the index of the class of each, among classes. steps: the same for each step of "
            "a sequence. name: of the row, if it has one."
        ),
    }
    return {
        "type": "object",
        "properties": {
            "predictions": {"type": "array", "items": row},
            "classes": {"type": "array", "items": {"type": "string"}},
            "warnings": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["predictions"],
    }
