"""Reading the planned columns of a file into memory, a batch at a time."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from mytorch.data.rounding import compact
from mytorch.data.table.cells import Array, Cells
from mytorch.data.table.dates import is_date
from mytorch.data.table.errors import TableError, TableWarning, as_toml, listed, shown
from mytorch.data.table.numerals import EXACT, other_numerals
from mytorch.data.table.plan import LEAVE_OUT, Plan, no_dates
from mytorch.data.table.source import Batch, Source

MOST_MARKERS = 3
"""Different texts in a column of numbers that may stand for missing cells."""


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
    names: of these columns.
    target: the target if it is numbers, in float64.
    gone: for each column, how many cells are missing, by the text that stands in them.
    """

    numbers: Tensor
    names: list[str]
    codes: dict[str, Codes]
    target: Array | None = None
    gone: dict[str, Counter[str]] = field(default_factory=dict)


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
        self.gone: dict[str, Counter[str]] = {name: Counter() for name in plan.columns}
        self.known = {name: frozenset(values) for name, values in plan.known.items()}
        self.unseen: dict[str, Counter[str]] = {}
        self.rows = 0

    def turns(self, name: str, cells: Cells) -> bool:
        """Whether a column thought of as numbers is text. Raises TableError if it must not be."""
        plan = self.plan
        if name in plan.as_text:
            return False
        if name == plan.target:
            return self._target_turns(name, cells)
        if cells.kind != "text":
            return False
        if plan.like:
            self._refuse(name, cells, "must be a number, as in training", "")
        if plan.options.date_parts and is_date(cells.values[0]):
            return True
        if plan.encoding(name) is None:
            self._refuse(name, cells, "must be a number", f'encode = "one-hot" or "ordinal" takes text, {LEAVE_OUT}')
        return True

    def _target_turns(self, name: str, cells: Cells) -> bool:
        """Whether the target is no column of numbers, or one of whole numbers that float64 would merge."""
        task = self.plan.options.task
        if task != "regression" and bool((np.abs(cells.numbers) >= EXACT).any()) and not self.plan.like:
            self.plan.exact = True
            return True
        if cells.kind == "boolean" and task != "regression":
            return True
        if cells.kind == "text" and task == "regression":
            self._refuse(name, cells, "must be a number for regression", 'task = "classification" takes text')
        return cells.kind == "text"

    def _refuse(self, name: str, cells: Cells, rule: str, way_out: str) -> None:
        """Raise for the first cell that is no number; in a column of dates, say so."""
        numerals = self.source.numerals
        bad = [code for code, value in enumerate(cells.values) if not numerals.is_number(value)]
        row = int(np.isin(cells.codes, bad or [0]).argmax())
        value = cells.values[cells.codes[row]]
        if is_date(value):
            raise TableError(f"{self._cell(row, name)} {no_dates(shown(value))}")
        ways_out = ways_to_read(name, cells, self.source, way_out)
        raise TableError("; ".join([f"{self._cell(row, name)} {rule}, got {shown(value)}", *ways_out]))

    def add(self, batch: Batch) -> None:
        """Take a batch: check its cells and keep them, in the wanted dtype if that rounds none of them."""
        rows = len(next(iter(batch.values())).codes) or len(next(iter(batch.values())).numbers)
        numbers = np.empty((rows, len(self.names)))
        for at, name in enumerate(self.names):
            numbers[:, at] = batch[name].numbers
        self._check_numbers(numbers, self.names, self.plan.dtype, batch)
        self.parts.append(compact(torch.from_numpy(numbers), self.plan.dtype))
        for name, codes in self.codes.items():
            codes.add(self._known(name, self._named_exactly(name, batch[name])))
        for name, cells in batch.items():
            self.gone[name].update(cells.gone)
        target = self.plan.target
        if target is not None and target not in self.codes:
            self._check_numbers(batch[target].numbers[:, None], [target], torch.float64, batch)
            self.targets.append(batch[target].numbers)
        self.rows += rows

    def _check_numbers(self, numbers: Array, names: list[str], dtype: torch.dtype, batch: Batch) -> None:
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
                self._check_missing(names[at], gone[:, at], batch[names[at]])

    def _named_exactly(self, name: str, cells: Cells) -> Cells:
        """Classes that are numbers under one name each, however they are written."""
        if name != self.plan.target or not self.plan.exact:
            return cells
        return replace(cells, values=[self.source.numerals.exact(value) for value in cells.values])

    def _known(self, name: str, cells: Cells) -> Cells:
        """The cells of a batch of text, checked. Categories that are not known stay, if they may be there."""
        self._check_missing(name, cells.codes < 0, cells)
        if not self.plan.like or name in self.plan.dates:
            return cells
        known = self.plan.known[name]
        strange = [code for code, value in enumerate(cells.values) if value not in self.known[name]]
        found = np.isin(cells.codes, strange)
        if not strange or not found.any():
            return cells
        is_target, row = name == self.plan.target, int(found.argmax())
        if self.plan.options.unseen is not None and not is_target:
            counts = Counter(cells.codes[found].tolist())
            self.unseen.setdefault(name, Counter()).update({cells.values[code]: counts[code] for code in strange})
            return cells
        way_out = "" if is_target else '; train with unseen = "none" to take it as none of the known'
        raise TableError(
            f"{self._cell(row, name)} must be a {'class' if is_target else 'category'} that was trained on, "
            f"{listed(map(shown, known))}, got {shown(cells.values[cells.codes[row]])}{way_out}"
        )

    def _check_missing(self, name: str, gone: Array, cells: Cells) -> None:
        missing, like = self.plan.options.missing, self.plan.like
        if not gone.any() or missing == "drop":
            return
        where = self._cell(int(gone.argmax()), name)
        if name == self.plan.target:
            raise TableError(f'{where} must be given, got a missing target; missing = "drop" leaves such rows out')
        texts = [text for text in cells.gone if text]
        marked = f" ({listed(map(shown, texts))})" if texts else ""
        if missing is None and like:
            raise TableError(
                f"{where} must be given, got a missing cell{marked}; train with missing to have it filled in"
            )
        if missing is None:
            kept = f"; missing_markers = {as_toml({name: []})} takes it as text" if texts else ""
            raise TableError(
                f'{where} must be given, got a missing cell{marked}; missing = "mean" or "median" fills it in, '
                f'missing = "drop" leaves such rows out{kept}'
            )

    def _cell(self, row: int, name: str) -> str:
        return self.source.cell(self.rows + int(row), name)

    def finish(self) -> Gathered:
        """Everything in one piece. Batches go as they are copied, so that memory is not held twice."""
        self._warn_of_unseen()
        exact = any(part.dtype != self.plan.dtype for part in self.parts)
        dtype = torch.float64 if exact else self.plan.dtype
        numbers = torch.empty(self.rows, len(self.names), dtype=dtype)
        at = self.rows
        while self.parts:
            part = self.parts.pop()
            numbers[at - len(part) : at] = part
            at -= len(part)
        target = np.concatenate(self.targets) if self.targets else None
        return Gathered(numbers, self.names, self.codes, target, self.gone)

    def _warn_of_unseen(self) -> None:
        taken = "a missing cell" if self.plan.options.unseen == "missing" else "none of the known"
        for name, seen in self.unseen.items():
            rows = seen.total()
            warnings.warn(
                f"{self.source.path}: column {shown(name)} has a category that was not trained on in {rows} "
                f"row{'s' * (rows > 1)}, taken as {taken}: {listed(map(shown, seen))}",
                TableWarning,
                stacklevel=5,
            )


def ways_to_read(name: str, cells: Cells, source: Source, usual: str) -> list[str]:
    """What makes a column of text usable: options under which all its cells are numbers, `usual`, and what takes the
    few that are none for missing.
    """
    if other := other_numerals(cells.values, source.numerals):
        read = ", ".join(f"{key} = {as_toml(value)}" for key, value in other.items())
        return [f"{read} reads it as a number", *([usual] if usual else [])]
    words = [value for value in cells.values if not source.numerals.is_number(value)]
    if len(words) > MOST_MARKERS or 2 * len(words) >= len(cells.values):
        return [usual] if usual else []
    markers = as_toml({name: [*(text for text in cells.gone if text), *words]})
    return [*([usual] if usual else []), f"missing_markers = {markers} if it means a missing cell"]
