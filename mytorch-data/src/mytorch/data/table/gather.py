"""Reading the planned columns of a file into memory, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mytorch.data.rounding import compact
from mytorch.data.table.cells import Array, Cells, is_date, is_number
from mytorch.data.table.errors import TableError, listed, shown
from mytorch.data.table.plan import LEAVE_OUT, Plan, no_dates
from mytorch.data.table.source import Batch, Source


class Codes:
    """A column of text: one code a row, -1 where it is missing, and the categories in the order of first sight."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self.values = {value: code for code, value in enumerate(known)}
        self._parts: list[Array] = []

    def add(self, cells: Cells) -> None:
        """Take the cells of a batch."""
        codes = [self.values.setdefault(value, len(self.values)) for value in cells.values]
        self._parts.append(np.array([*codes, -1], dtype=np.int32)[cells.codes])

    @property
    def codes(self) -> Array:
        """The codes of all rows."""
        return np.concatenate(self._parts)


@dataclass
class Gathered:
    """The columns of a file.

    numbers: (rows, columns that are numbers), NaN where a cell is missing; in float64 if the wanted dtype would round.
    """

    numbers: Tensor
    names: list[str]
    codes: dict[str, Codes]
    target: Array | None = None
    """The target if it is numbers, in float64."""


def gather(source: Source, plan: Plan) -> Gathered:
    """All rows. A column in which a cell turns out to be text is read again as text, if it may be.

    Raises TableError with file, row and column for a cell that cannot be used, and what would accept it.
    """
    while True:
        gatherer = _Gatherer(source, plan)
        turned: set[str] = set()
        for batch in source.batches(plan.columns, plan.as_text):
            turned = {name for name, cells in batch.items() if gatherer.turns(name, cells)}
            if turned:
                break
            gatherer.add(batch)
        if not turned:
            return gatherer.finish()
        plan.as_text |= turned


class _Gatherer:
    def __init__(self, source: Source, plan: Plan) -> None:
        self.source, self.plan = source, plan
        self.names = [name for name in plan.features if name not in plan.as_text]
        self.codes = {name: Codes(plan.known.get(name, ())) for name in plan.columns if name in plan.as_text}
        self.parts: list[Tensor] = []
        self.targets: list[Array] = []
        self.rows = 0

    def turns(self, name: str, cells: Cells) -> bool:
        """Whether a column thought of as numbers is text. Raises TableError if it must not be."""
        plan = self.plan
        if name in plan.as_text:
            return False
        if name == plan.target:
            if cells.kind == "boolean" and plan.task != "regression":
                return True
            if cells.kind == "text" and plan.task == "regression":
                self._refuse(name, cells, "must be a number for regression", 'task = "classification" takes text')
            return cells.kind == "text"
        if cells.kind != "text":
            return False
        if plan.like:
            self._refuse(name, cells, "must be a number, as in training", "")
        if plan.encoding(name) is None:
            self._refuse(name, cells, "must be a number", f'encode = "one-hot" or "ordinal" takes text, {LEAVE_OUT}')
        return True

    def _refuse(self, name: str, cells: Cells, rule: str, way_out: str) -> None:
        """Raise for the first cell that is no number; in a column of dates, say so."""
        bad = [code for code, value in enumerate(cells.values) if not is_number(value, self.source.decimal)]
        row = int(np.isin(cells.codes, bad or [0]).argmax())
        value = cells.values[cells.codes[row]]
        if is_date(value):
            raise TableError(f"{self._cell(row, name)} {no_dates(shown(value))}")
        if self.source.decimal == "." and is_number(value, ","):
            way_out = 'decimal = "," reads decimal commas'
        raise TableError(f"{self._cell(row, name)} {rule}, got {shown(value)}{'; ' + way_out if way_out else ''}")

    def add(self, batch: Batch) -> None:
        """Take a batch: check its cells and keep them, in the wanted dtype if that rounds none of them."""
        rows = len(next(iter(batch.values())).codes) or len(next(iter(batch.values())).numbers)
        numbers = np.empty((rows, len(self.names)))
        for at, name in enumerate(self.names):
            numbers[:, at] = batch[name].numbers
        self._check_numbers(numbers, self.names, self.plan.dtype)
        self.parts.append(compact(torch.from_numpy(numbers), self.plan.dtype))
        for name, codes in self.codes.items():
            self._check_text(name, batch[name])
            codes.add(batch[name])
        target = self.plan.target
        if target is not None and target not in self.codes:
            self._check_numbers(batch[target].numbers[:, None], [target], torch.float64)
            self.targets.append(batch[target].numbers)
        self.rows += rows

    def _check_numbers(self, numbers: Array, names: list[str], dtype: torch.dtype) -> None:
        most = torch.finfo(dtype).max
        if (wrong := np.abs(numbers) > most).any():
            row, at = np.argwhere(wrong)[0]
            value = numbers[row, at]
            if np.isinf(value):
                rule = f"must be finite, got {value}; an empty cell with missing = ... stands for what is not known"
            else:
                kind = str(dtype).removeprefix("torch.")
                rule = f'must be at most {most:.3g} in {kind}, got {value}; use dtype = "float64" or another unit'
            raise TableError(f"{self._cell(row, names[at])} {rule}")
        gone = np.isnan(numbers)
        if gone.any():
            for at in np.flatnonzero(gone.any(0)):
                self._check_missing(names[at], gone[:, at])

    def _check_text(self, name: str, cells: Cells) -> None:
        self._check_missing(name, cells.codes < 0)
        if not self.plan.like:
            return
        known = self.plan.known[name]
        strange = [code for code, value in enumerate(cells.values) if value not in self.codes[name].values]
        if strange and (found := np.isin(cells.codes, strange)).any():
            row = int(found.argmax())
            what = "class" if name == self.plan.target else "category"
            raise TableError(
                f"{self._cell(row, name)} must be a {what} that was trained on, {listed(map(repr, known))}, "
                f"got {shown(cells.values[cells.codes[row]])}"
            )

    def _check_missing(self, name: str, gone: Array) -> None:
        plan = self.plan
        if not gone.any() or plan.missing == "drop":
            return
        where = self._cell(int(gone.argmax()), name)
        if name == plan.target:
            raise TableError(f'{where} must be given, got a missing target; missing = "drop" leaves such rows out')
        if plan.missing is None and plan.like:
            raise TableError(f"{where} must be given, got a missing cell; train with missing to have it filled in")
        if plan.missing is None:
            raise TableError(
                f'{where} must be given, got a missing cell; missing = "mean" or "median" fills it in, '
                f'missing = "drop" leaves such rows out'
            )

    def _cell(self, row: int, name: str) -> str:
        return self.source.cell(self.rows + int(row), name)

    def finish(self) -> Gathered:
        """Everything in one piece. Batches go as they are copied, so that memory is not held twice."""
        exact = any(part.dtype != self.plan.dtype for part in self.parts)
        dtype = torch.float64 if exact else self.plan.dtype
        numbers = torch.empty(self.rows, len(self.names), dtype=dtype)
        at = self.rows
        while self.parts:
            part = self.parts.pop()
            numbers[at - len(part) : at] = part
            at -= len(part)
        return Gathered(numbers, self.names, self.codes, np.concatenate(self.targets) if self.targets else None)
