"""The rows that an exported model takes: their shape and dtype, and what is done to them before the net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import torch
from torch import Tensor, nn

from mytorch.core import MytorchError, fetch, kind_of
from mytorch.data.images.image_folder import KEY as IMAGES
from mytorch.data.preparation.moments import INPUTS, Moments
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.data.table.recipe import KEY as TABLE
from mytorch.data.table.recipe import Recipe
from mytorch.data.text.text_file import KEY as TEXT
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.stages import Fill, Pixels, Standardize
from mytorch.experiments.file.build import build_data, default_dtype, without_split_warnings
from mytorch.experiments.runs.run import Run


@dataclass(frozen=True)
class RawRows:
    """What goes into an exported model, a batch at a time: (rows, *shape).

    axes: what the axes of a row are called.
    steps: whether the first of them may have any length, as sequences and texts have.
    below: whole numbers are smaller, as tokens are; None for other numbers.
    fills: what stands for a missing number in each column, NaN if nothing does; () for no column.
    normalize: how pixels were scaled when they were read, if they were.
    moments: by which the run standardises the rows that are read.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    axes: tuple[str, ...]
    steps: bool = False
    below: int | None = None
    fills: tuple[float, ...] = ()
    normalize: Moments | None = None
    moments: Moments | None = None

    def prepare(self, dtype: torch.dtype) -> nn.Module:
        """The layers that make the net's inputs of them, in its dtype."""
        stages: list[nn.Module] = [Pixels(dtype)] if self.dtype is torch.uint8 else []
        if self.fills:
            stages.append(Fill(self.fills, self.dtype))
        computed = self.dtype if self.dtype.is_floating_point else dtype
        for moments in (self.normalize, self.moments):
            if moments is not None:
                mean, std = (self._beside(numbers) for numbers in (moments.mean, moments.std))
                stages.append(Standardize(mean.tolist(), std.tolist(), computed, dtype))
        return stages[0] if len(stages) == 1 else nn.Sequential(*stages) if stages else nn.Identity()

    def _beside(self, numbers: Tensor) -> Tensor:
        """Numbers of columns, or of the channels of images, with the axes that they need beside a batch."""
        return numbers.reshape(-1, 1, 1) if len(self.shape) == 3 and self.shape[0] == len(numbers) else numbers

    def example(self, rows: int, seed: int = 0) -> Tensor:
        """Rows that are drawn, such as may come."""
        draw, shape = torch.Generator().manual_seed(seed), (rows, *self.shape)
        if not self.dtype.is_floating_point:
            return torch.randint(self.below or 256, shape, generator=draw, dtype=self.dtype)
        x = torch.rand(shape, generator=draw, dtype=torch.float64)
        if self.moments is not None:
            x = (2 * x - 1) * self._beside(self.moments.std) + self._beside(self.moments.mean)
        if self.fills:
            x[0] = torch.where(torch.tensor(self.fills).isnan(), x[0], nan)
        return x.to(self.dtype)

    def as_read(self, rows: Tensor) -> Tensor:
        """The same as the run's own data set would give them, and as `Run.predict` takes them."""
        if self.dtype is torch.uint8:
            rows = rows.to(torch.float64) / 255
        if self.fills:
            rows = torch.where(rows.isnan(), torch.tensor(self.fills, dtype=rows.dtype), rows)
        return rows if self.normalize is None else self.normalize.scale(rows)

    def to_json(self) -> dict[str, Any]:
        """What metadata says of them."""
        free = ["rows", "steps"] if self.steps else ["rows"]
        sizes = [*free, *self.shape[1 if self.steps else 0 :]]
        return {
            "name": "rows",
            "dtype": str(self.dtype).removeprefix("torch."),
            "shape": sizes,
            "axes": ["row", *self.axes],
        }


def raw_rows(run: Run, example: Tensor | None = None) -> RawRows:
    """The rows that a run takes, by what it keeps of its data, or of the experiment's data themselves.

    example: some rows as `run.predict` takes them, for a run that keeps nothing of the sort.
    Raises ExportError if nothing tells of them.
    """
    moments = Moments.of(run.kept.preparation, INPUTS)
    found = _known(run) if example is None else _of_tensor(example, run)
    if found is None:
        row = _first_row(run)
        if row is None and run.kept.columns:
            row = torch.zeros(1, len(run.kept.columns), dtype=run.dtype)
        if row is None:
            raise ExportError(
                f"export: the shape of a row must be known, got a run without columns in {run.path}; export it from "
                "Python with example=tensor, rows as run.predict takes them"
            )
        found = _of_tensor(row, run)
    if moments is None or len(found.shape) == 3:
        return replace(found, moments=moments)
    return replace(found, moments=moments, dtype=torch.float64)  # so that large numbers keep their last digits


def _known(run: Run) -> RawRows | None:
    """By what the data sets of mytorch keep of themselves."""
    preparation, dtype = run.kept.preparation, run.dtype
    if IMAGES in preparation:
        kept = preparation[IMAGES]
        shape = (1 if kept["mode"] == "grey" else 3, *kept["size"])
        return RawRows(shape, torch.uint8, ("channel", "height", "width"), normalize=Moments.of(kept, "normalize"))
    if TEXT in preparation:
        return RawRows((preparation[TEXT]["block_size"],), torch.int64, ("step",), True, len(run.kept.classes or ()))
    if WINDOWS in preparation:
        kept = preparation[WINDOWS]
        return RawRows((kept["history"], len(kept["columns"])), dtype, ("step", "column"))
    if TABLE in preparation:
        columns = RawRows((len(run.kept.columns),), dtype, ("column",), fills=_fills(preparation))
        if run.kept.dataset is None:
            return columns
        return replace(columns, shape=(STEPS, *columns.shape), axes=("step", "column"), steps=True)
    entry = run.kept.entry
    if "shape" in entry and "whole" in entry:
        return _of_shape(tuple(entry["shape"]), torch.int64 if entry["whole"] else dtype)
    return None


STEPS = 7
"""Of sequences that are drawn: as few layers have of anything, so that steps are told from other axes."""


def _fills(preparation: Mapping[str, Any]) -> tuple[float, ...]:
    """What stands for missing numbers of a table; () if nothing does."""
    fills = [
        nan if feature.fill is None or feature.kind not in ("number", "date") else float(feature.fill)
        for feature in Recipe.from_json(preparation).features
        for _ in feature.columns
    ]
    return tuple(fills) if any(fill == fill for fill in fills) else ()


def _first_row(run: Run) -> Any:
    """The inputs of the first row of an experiment's data; None if there are none here."""
    if run.experiment is None:
        return None
    try:
        with without_split_warnings(), default_dtype(run.experiment.dtype):
            return fetch(build_data(run.experiment).training, torch.tensor([0]))[0]
    except (MytorchError, OSError):
        return None


def _of_tensor(rows: Any, run: Run) -> RawRows:
    if isinstance(rows, Mapping) and rows.keys() == {"x", "lengths"} and rows["x"].dim() == 3:
        return RawRows((STEPS, rows["x"].shape[2]), run.dtype, ("step", "column"), steps=True)
    if not isinstance(rows, Tensor) or rows.dim() < 2:
        raise ExportError(
            f"export: the inputs of a batch must be one tensor of rows, got {kind_of(rows)} in {run.path}"
        )
    return _of_shape(tuple(rows.shape[1:]), run.dtype if rows.is_floating_point() else torch.int64)


def _of_shape(shape: tuple[int, ...], dtype: torch.dtype) -> RawRows:
    axes = ("column",) if len(shape) == 1 else tuple(f"axis_{place}" for place in range(1, len(shape) + 1))
    return RawRows(shape, dtype, axes, below=2)
