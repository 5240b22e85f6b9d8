"""What a kept run says of new rows."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mytorch.experiments.file.build import threads
from mytorch.experiments.predict.head import Head, Predictions, head_for
from mytorch.experiments.predict.new_rows import rows_of
from mytorch.plugins import FileError, refuse_overwrite, whole_file
from mytorch.train.batches import Batches, call
from mytorch.train.engine import require_engine
from mytorch.train.errors import NotFiniteError, RunError
from mytorch.train.evaluation import EVALUATION_BATCH, judging, predict

if TYPE_CHECKING:
    from mytorch.experiments.runs.run import Run


def head_of(run: Run) -> Head:
    """How the outputs of a run's model are read, by what its loss says, its targets and its classes."""
    encoding = "as-is" if run.experiment is None else run.experiment.data.targets
    outputs = run.summary.get("outputs", "scores")
    return head_for(outputs, encoding, run.data.get("classes"), run.data.get("preparation"))


def predict_all(run: Run, source: str | Path | Tensor | Any, batch_size: int, engine: str) -> Predictions:
    """What a run says of the rows of a file, tensor or data set; see Run.predict."""
    with predicting(run, engine) as outputs_of:
        parts = list(predict_batches(run, source, batch_size, outputs_of))
    if not parts:
        raise RunError(f"{run.path}: the rows to predict must be at least one, got none")
    return Predictions(  # made outside of inference mode, since they are the user's
        _joined([part.probabilities for part in parts]),
        _joined([part.values for part in parts]),
        parts[0].classes,
        _joined([part.indices for part in parts]),
    )


def _joined(parts: list[Tensor | None]) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.cat(tensors) if tensors else None


@contextmanager
def predicting(run: Run, engine: str) -> Iterator[Callable[[Any], Any]]:
    """Within this context, entered once for all batches, the function given makes outputs of a batch."""
    require_engine(engine)
    with threads(run.experiment.threads if run.experiment else None):
        if engine == "eager":
            with judging(run.net):
                yield partial(predict, run.net)
        else:  # which knows no other mode than evaluation
            compiled = run.compiled
            with torch.inference_mode():
                yield partial(call, compiled)


def predict_batches(
    run: Run, source: str | Path | Tensor | Any, batch_size: int, outputs_of: Callable[[Any], Any]
) -> Iterator[Predictions]:
    """The same, a batch at a time, to be called while `predicting` gives `outputs_of`."""
    head, row = head_of(run), 1
    for inputs, _ in Batches(rows_of(run, source, targets=False), batch_size):
        outputs = outputs_of(inputs)
        predictions = head.read(outputs)
        if not math.isfinite(outputs.sum().item()):  # half the time of asking each
            _require_finite(run, outputs, row)
        row += len(outputs)
        yield predictions


def _require_finite(run: Run, outputs: Tensor, row: int) -> None:
    wrong = (~outputs.reshape(len(outputs), -1).isfinite().all(1)).nonzero()
    if len(wrong):
        bad = int(wrong[0])
        raise NotFiniteError(
            f"{run.path}: every output must be finite, got {outputs[bad].tolist()} for row {row + bad} of the new "
            "rows; look for numbers there that are far outside of what the model was trained on"
        )


def write_predictions(
    run: Run,
    source: Path,
    output: Path,
    force: bool = False,
    batch_size: int = EVALUATION_BATCH,
    engine: str = "eager",
) -> int:
    """Write what a run says of a file's rows as CSV, whole or not at all, and return the number of rows.

    Classes: `prediction`, the label, and `probability_LABEL` for each class. Numbers: `prediction`, or `prediction_0`
    and so on for several.
    Raises FileError if `output` exists (unless `force`), cannot be written, or is `source`; RunError without rows.
    """
    refuse_overwrite(output, force, suffixes=(".csv",))
    if output.exists() and source.exists() and output.samefile(source):
        raise FileError(f"{output}: must be another file than the rows to predict; choose another name")
    with predicting(run, engine) as outputs_of:
        batches, rows = predict_batches(run, source, batch_size, outputs_of), 0
        first = next(batches, None)  # before the file is begun: what cannot be read is no trouble with writing
        if first is None:
            raise RunError(f"{source}: must have at least one row, got none")
        with whole_file(output) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(_header(first))
            for predictions in chain([first], batches):
                lines = _lines(predictions)
                table.writerows(lines)
                rows += len(lines)
    return rows


def _header(predictions: Predictions) -> list[str]:
    if predictions.values is None:
        return ["prediction", *(f"probability_{name}" for name in predictions.classes)]
    count = predictions.values.shape[1]
    return ["prediction"] if count == 1 else [f"prediction_{number}" for number in range(count)]


def _lines(predictions: Predictions) -> list[list[Any]]:
    if predictions.labels is None or predictions.probabilities is None:
        return [] if predictions.values is None else predictions.values.tolist()
    return [[label, *row] for label, row in zip(predictions.labels, predictions.probabilities.tolist(), strict=True)]
