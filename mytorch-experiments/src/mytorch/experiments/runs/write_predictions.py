"""What a run says of a file's rows, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mytorch.data.table import cells_of
from mytorch.experiments.predict.head import Predictions
from mytorch.experiments.predict.prediction import joined, predict_batches
from mytorch.experiments.predict.predictions_file import Kept, has_lines, write_arrays, write_csv
from mytorch.experiments.runs.run import Run
from mytorch.plugins import FileError, counted, refuse_overwrite
from mytorch.train.errors import RunError


def write_predictions(
    run: Run,
    source: Path,
    output: Path,
    force: bool = False,
    batch_size: int | None = None,
    engine: str = "eager",
    keep: Sequence[str] | None = (),
) -> int:
    """Write what a run says of a file's rows, whole or not at all, and return the number of rows.

    Where a data set names its rows, such as by their file, these names are written, too.
    output: a CSV file, a line a row; or an NPZ file of arrays, as models need that give more than a row of numbers for
        each row, such as a class for each pixel.
    keep: columns of the file that are written in front of the predictions; all of them if None.
    Raises FileError if `output` exists (unless `force`), cannot be written, or is `source`; RunError without rows,
        and for what only the other kind of file can hold.
    """
    refuse_overwrite(output, force, suffixes=(".csv", ".npz"))
    as_arrays = output.suffix.lower() == ".npz"
    if as_arrays and (keep is None or keep):
        raise RunError(f"{output}: columns to keep must go into a CSV file, got one of arrays; leave --keep out")
    if output.exists() and source.exists() and output.samefile(source):
        raise FileError(f"{output}: must be another file than the rows to predict; choose another name")
    rows = run.rows_of(source)
    with run.outputs_by(engine) as outputs_of:
        batches = predict_batches(rows, batch_size, outputs_of, run.head, str(run.path))
        first = next(batches, None)  # before the file is begun: what cannot be read is no trouble with writing
        if first is None:
            raise RunError(f"{source}: must have at least one row, got none")
        if as_arrays:
            return write_arrays(output, joined([first, *batches]), rows.row_names)
        if not has_lines(first):
            raise RunError(
                f"{output}: must be an NPZ file for a model that gives {_given(first)} for each row, got a CSV "
                f"file, which has a line for each; write --output {output.with_suffix('.npz')}"
            )
        if first.lengths is not None and (keep is None or keep):
            raise RunError(
                f"{output}: columns to keep must be those of one line, got predictions of steps; leave --keep out"
            )
        kept: Kept | None = None
        if keep is None or keep:
            kept = cells_of(source, keep, run.kept.for_tables)
        elif rows.row_names is not None:
            column, names = rows.row_names
            kept = [column], ([name] for name in names)
        return write_csv(output, first, batches, kept)


def _given(predictions: Predictions) -> str:
    others = len(predictions.others)
    return f"{predictions.shape[1:]}" + (f" and {counted(others, 'other output')}" if others else "")
