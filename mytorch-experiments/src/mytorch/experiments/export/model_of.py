"""A run's model as one torch.nn.Module, from raw rows to predictions, and the comparison with the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mytorch.core import Module, MytorchError, fetch
from mytorch.experiments.errors import ParityError
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.own_forward import OwnForward
from mytorch.experiments.export.raw_rows import RawRows, raw_rows
from mytorch.experiments.export.stages import Model, Numbers, Shares, Sigmoids, Softmax
from mytorch.experiments.parity.twin import twin_of
from mytorch.experiments.predict.head import Head
from mytorch.experiments.runs.run import Run, load
from mytorch.experiments.runs.weights_epoch import weights_epoch
from mytorch.train.evaluation import judging, predict

TOLERANCE = 1e-5
"""How far an export may be from the run: of the largest number of an output, or of 1 if all are smaller."""
TRIED = (1, 2, 5)
"""Numbers of rows with which they are compared."""


@dataclass(frozen=True)
class Exported:
    """A run's model for use elsewhere, and what there is to say of it."""

    run: Run
    rows: RawRows
    model: Model
    names: tuple[str, ...]
    """Of its outputs, in their order."""
    difference: float = 0.0
    """By how much its predictions were found to differ from those of the run, as `compare` measures it."""

    def compare(self, compute: Callable[[Tensor], Mapping[str, Any]], what: str) -> Exported:
        """The same with the largest difference of what something computes for drawn rows from what the run predicts.

        It is measured by the largest number of an output, or by 1 if all are smaller; of classes it is by how much the
        one that is told is less likely than another. Raises ExportError if it is beyond the tolerance.
        """
        largest = 0.0
        for count in TRIED:
            rows = self.rows.example(count, seed=count)
            expected, found = expected_of(self.run, self.rows, rows), compute(rows)
            for name, value in expected.items():
                distance = _distance(torch.as_tensor(found[name]), value, expected)
                largest = largest if distance <= largest else distance  # NaN, too
        if not largest <= TOLERANCE:
            raise ExportError(
                f"export: {what} must give what the run predicts, to {TOLERANCE:g}, got a difference of "
                f"{largest:.2g}, so nothing was written"
            )
        return replace(self, difference=largest)

    def to_json(self) -> dict[str, Any]:
        """What an export says of itself: where it comes from, and how rows and outputs are read."""
        run, kept = self.run, self.run.kept
        versions = {"torch": torch.__version__, "mytorch-experiments": version("mytorch-experiments")}
        return {
            "run": run.path.resolve().name,
            "status": run.summary.get("status"),
            "weights_of_epoch": weights_epoch(run.path),
            "input": self.rows.to_json(),
            "outputs": list(self.names),
            "read_as": run.head.kind,
            "columns": list(kept.columns),
            "classes": None if kept.classes is None else list(kept.classes),
            "targets": list(kept.outputs) or [kept.target],
            "preparation": dict(kept.preparation),
            "versions": versions,
        }


def exported(
    run: Run | str | Path, example: Tensor | None = None, otherwise: Callable[[Module], nn.Module] | None = OwnForward
) -> Exported:
    """The model of a run, or of its folder, without a gradient and in evaluation mode.

    example: some rows as `run.predict` takes them, where the run keeps nothing of their shape.
    otherwise: makes a torch.nn.Module of a layer that torch.nn has not; None refuses it.
    Raises RunError for what is no run, ExportError for rows or layers that cannot be exported.
    """
    run = run if isinstance(run, Run) else load(run)
    rows = raw_rows(run, example)
    try:
        net = twin_of(run.net, otherwise).requires_grad_(False)
    except ParityError as error:
        raise ExportError(f"export: {error}".replace("export: parity: ", "export: ", 1)) from error
    try:
        columns = _first(_outputs_of(run, rows, rows.example(2))).shape
    except MytorchError as error:
        error.add_note(f"for rows of {rows.shape} in {rows.dtype}, as {run.path} takes them")
        raise
    model = Model(rows.prepare(run.dtype), net, _reader(run.head, columns)).eval()
    with torch.no_grad():
        return Exported(run, rows, model, tuple(model(rows.example(2)))).compare(model, "the model in torch.nn")


def _reader(head: Head, shape: torch.Size) -> nn.Module:
    """What reads outputs of a shape as the head does."""
    if head.kind == "numbers":
        moments = head.moments
        if moments is None:
            return Numbers()
        placed = [numbers.reshape(-1, 1, 1) if len(shape) == 4 else numbers for numbers in (moments.mean, moments.std)]
        return Numbers(*(numbers.tolist() for numbers in placed))
    if head.kind in ("softmax", "log-softmax"):
        return Softmax()
    if _are_labels(head, shape):
        return Sigmoids()
    return Shares(head.kind == "sigmoid", head.kind == "scores")


def _are_labels(head: Head, shape: torch.Size) -> bool:
    """Whether each column is true or not, whatever the others are."""
    return head.kind == "sigmoid" and head.classes is None and len(shape) > 1 and shape[1] > 1


def _first(outputs: Any) -> Tensor:
    first = outputs[0] if isinstance(outputs, tuple) else outputs
    if not isinstance(first, Tensor):
        raise ExportError(
            f"export: the model's output must be a tensor, or a tuple of tensors, got {type(first).__name__}"
        )
    return first


def _outputs_of(run: Run, known: RawRows, rows: Tensor) -> Any:
    """What the run's own model makes of raw rows."""
    read = known.as_read(rows)
    inputs = fetch(run.rows_of(read), torch.arange(len(read)))[0] if read.is_floating_point() else read
    with judging(run.net):
        return predict(run.net, inputs)


def expected_of(run: Run, known: RawRows, rows: Tensor) -> dict[str, Tensor]:
    """What the run predicts for raw rows, by the names of an export's outputs."""
    outputs = _outputs_of(run, known, rows)
    first = _first(outputs)
    others = outputs[1:] if isinstance(outputs, tuple) else ()
    further = {f"output_{number}": other for number, other in enumerate(others, 1)}
    scores = first.unsqueeze(1) if first.dim() == 1 else first
    if _are_labels(run.head, scores.shape):
        return {"probabilities": scores.double().sigmoid(), "scores": scores, **further}
    read = run.head.read(first)
    if read.values is not None:
        return {"prediction": read.values, **further}
    assert read.probabilities is not None  # of classes, which have them with indices
    assert read.indices is not None
    return {"prediction": read.indices, "probabilities": read.probabilities, "scores": scores, **further}


def _distance(found: Tensor, expected: Tensor, all_expected: Mapping[str, Tensor]) -> float:
    """The largest difference of an output, of its largest number or of 1; of classes, how much less likely one is."""
    if found.shape != expected.shape:
        return float("inf")
    if not expected.is_floating_point():
        p = all_expected["probabilities"]
        return float((p.amax(1) - p.gather(1, found.long().unsqueeze(1)).squeeze(1)).max())
    expected = expected.double()
    scale = max(1.0, float(expected.abs().max()))
    return float((found.double() - expected).abs().max()) / scale
