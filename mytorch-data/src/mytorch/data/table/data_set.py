"""A user's table as a data set."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, rows_at
from mytorch.data.dtype import floating_dtype
from mytorch.data.table.encode import encode as encode_features
from mytorch.data.table.encode import learn_features
from mytorch.data.table.errors import TableError, naming
from mytorch.data.table.fill import fill_row, learn_fills
from mytorch.data.table.gather import Gathered, gather
from mytorch.data.table.inspect import inspect_table
from mytorch.data.table.open_table import open_table
from mytorch.data.table.options import Options, require_unseen
from mytorch.data.table.plan import plan, plan_like
from mytorch.data.table.reading import MARKERS, Reading
from mytorch.data.table.recipe import Recipe
from mytorch.data.table.rows import Rows
from mytorch.data.table.source import Source
from mytorch.data.table.target import encode_target, learn_target


class Table(DataSet):
    """The rows of a CSV, TSV, Parquet, NPZ or Excel file: feature columns and a target of classes or numbers.

    Shapes:   inputs: (rows, encoded columns) of dtype;
              targets: (rows,), int64, for classes; (rows, 1) of dtype for numbers; with `like`, None in a file without
    Classes:  a target of text, of true and false, or of at most 20 different whole numbers, each twice on average;
              `task` = "classification" or "regression" decides otherwise
    encode:   what becomes of text: "one-hot", "ordinal", or a choice for each column that is named
    dtype:    of inputs and numbers; what it would round is kept in float64, see `DataSet.exact_at`
    unseen:   what becomes of categories that a file read with `like` has and this one lacks: "none" makes all columns
              of a one-hot category 0, "missing" takes them for missing cells; they are refused if it is left out
    missing:  what becomes of missing cells: "mean", "median" (text: the category seen most), "drop" (the row)
    missing_indicators: whether a column with missing cells gets another beside it, 1 where a cell was missing, else 0
    missing_markers: the texts that stand for a missing cell, for all columns or by the names of columns
    dates:    what becomes of dates: "parts" makes year, month, weekday and days since the first, and the hour if there
              is one; or a list of parts
    day_first: whether 01/02/2024 is in February, where a column leaves it open
    thousands, units: what parts thousands, and what may stand beside numbers, such as "$"; both do not count
    dropped:  how many rows were left out for missing cells
    places:   where in the file the rows are that were not left out, int64, from 0; None if all are there
    like:     the `preparation` of a former Table, whose columns, encodings, fills and classes this file must have
    Raises:   TableError with file, row and column, and what would accept the cell; ArgumentError for options;
              FileError if there is no such file; ReaderError without pyarrow or openpyxl
    """

    inspect = staticmethod(inspect_table)

    def __init__(
        self,
        path: str | Path | Rows,
        target: str | None = None,
        *,
        features: Sequence[str] | None = None,
        task: str | None = None,
        encode: str | dict[str, str] | None = None,
        unseen: str | None = None,
        missing: str | None = None,
        missing_indicators: bool = False,
        missing_markers: Sequence[str] | Mapping[str, Sequence[str]] = MARKERS,
        dates: str | Sequence[str] | None = None,
        day_first: bool | None = None,
        delimiter: str = ",",
        decimal: str = ".",
        thousands: str | None = None,
        units: Sequence[str] = (),
        encoding: str = "utf-8",
        header: bool = True,
        sheet: str | None = None,
        dtype: torch.dtype | str = "float32",
        like: Mapping[str, Any] | None = None,
    ) -> None:
        self._dtype = floating_dtype("Table", dtype)
        with naming(path):
            reading = Reading(delimiter, decimal, encoding, header, thousands, units, missing_markers, sheet)
            if like is None:
                options = Options(task, encode, missing, unseen, missing_indicators, dates, day_first)
                self._learn(open_table(path, reading), target, features, options)
            else:
                self._read_like(path, reading, target, unseen, Recipe.from_json(like))

    def _learn(self, source: Source, target: str | None, features: Sequence[str] | None, options: Options) -> None:
        """Read a file that decides itself what its columns become."""
        made = plan(source, target, features, options, self._dtype)
        gathered = gather(source, made)
        found = learn_features(source, made, gathered)
        goal = learn_target(source, made, gathered)
        used = set(made.columns)
        left_out = tuple(name for name in source.names if name not in used)
        rows = len(gathered.numbers)
        recipe = Recipe(found, goal, options.missing, source.reading, left_out, options.unseen, rows)
        self._encode(source, recipe, gathered)
        self._describe(learn_fills(self._path, self._raw, recipe))

    def _read_like(
        self, path: str | Path | Rows, reading: Reading, target: str | None, unseen: str | None, recipe: Recipe
    ) -> None:
        """Read a file as a former one was."""
        if target not in (None, recipe.target.name):
            raise ArgumentError(f"Table: target must be {recipe.target.name!r}, as in training, got {target!r}")
        recipe = replace(recipe, unseen=unseen or recipe.unseen)
        require_unseen(recipe.unseen, recipe.missing)
        source = open_table(path, recipe.reading.changed(reading))
        made = plan_like(source, recipe, self._dtype)
        self._encode(source, recipe, gather(source, made))
        self._describe(recipe)

    def _encode(self, source: Source, recipe: Recipe, gathered: Gathered) -> None:
        self._path = source.path
        self._raw = encode_features(source, recipe, gathered)
        self._exact_targets, gone = None, np.zeros(len(self._raw), dtype=bool)
        if recipe.target.name in gathered.gone:
            self._exact_targets, gone = encode_target(source, recipe.target, gathered, self._dtype)
        self.places: Tensor | None = None
        self.dropped = self._drop(source, gone) if recipe.missing == "drop" else 0
        self.targets = self._rounded(self._exact_targets)

    def _drop(self, source: Source, gone: Any) -> int:
        kept = ~(self._raw.isnan().any(1) | torch.from_numpy(gone))
        if not kept.any():
            raise TableError(
                f'{source.path}: a row must have no missing cell to be kept by missing = "drop", got none'
            )
        if not kept.all():
            self._raw, self.places = self._raw[kept], kept.nonzero().squeeze(1)
            self._exact_targets = None if self._exact_targets is None else self._exact_targets[kept]
        return len(kept) - int(kept.sum())

    def _describe(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.columns, self.classes = recipe.columns, recipe.target.classes
        self.preparation = recipe.to_json()
        row = fill_row(recipe)
        self._fill = torch.tensor(row, dtype=self._raw.dtype) if row and bool(self._raw.isnan().any()) else None

    @property
    def inputs(self) -> Tensor:
        """All rows, filled in."""
        return self._filled(self._raw).to(self._dtype)

    def learned_from(self, indices: Tensor) -> Table:
        """The same rows, in the same memory, with what is filled in learned from some of them only."""
        other = copy.copy(self)
        other._describe(learn_fills(self._path, self._raw, self._recipe, indices))
        return other

    def _filled(self, inputs: Tensor) -> Tensor:
        return inputs if self._fill is None else torch.where(inputs.isnan(), self._fill, inputs)

    def __len__(self) -> int:
        return len(self._raw)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        inputs, targets = self.exact_at(indices)
        return inputs.to(self._dtype), self._rounded(targets)

    def exact_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        targets = None if self._exact_targets is None else rows_at(self._exact_targets, indices)
        return self._filled(rows_at(self._raw, indices)), targets

    def _rounded(self, targets: Tensor | None) -> Tensor | None:
        """Numbers in the dtype that is trained; classes as they are."""
        return targets if targets is None or not targets.is_floating_point() else targets.to(self._dtype)
