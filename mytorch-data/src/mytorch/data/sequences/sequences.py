"""Sequences of different lengths from a table."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, require_flags, require_path, rows_at
from mytorch.data.dtype import floating_dtype
from mytorch.data.sequences.order import Order, read_order
from mytorch.data.sequences.ragged import PADDING, Steps, unflat, zeroed
from mytorch.data.table import Table
from mytorch.data.table.errors import TableError, shown
from mytorch.data.table.new_rows import without_target
from mytorch.data.table.open_table import open_table
from mytorch.data.table.reading import Reading
from mytorch.data.table.recipe import KEY as TABLE

KEY = "sequences"
"""Under which name `preparation` keeps which columns say what a sequence is."""


class Sequences(DataSet):
    """Sequences of different lengths, from a table with a row for each step (long format).

    path:     any file that Table reads
    target:   the column to be predicted: one value for all rows of a sequence or, with per_step, a class in each
    id, time: the columns that say of which sequence a row is, and when: numbers or dates. Rows may stand in any order;
              the steps of a sequence are sorted by time
    features: the columns of the inputs; all but target, id and time if None
    per_step: whether each step has a target, which must then be a class
    task, encode, unseen, dates, day_first, delimiter, decimal, encoding: as Table has them; missing too, but "drop"
    Shapes:   inputs: {"x": (batch, longest, columns) of dtype, 0 in the padding, "lengths": (batch,), int64};
              targets: (batch,), int64, for classes; (batch, 1) of dtype for numbers; with per_step (batch, longest),
              int64, -100 in the padding, which CrossEntropyLoss leaves out
    like:     the `preparation` of former Sequences, by which the file is read; the target may be absent then
    targets:  False leaves the target out
    Raises:   TableError for a row without id or time, two rows of a sequence at one time, a target that changes within
              a sequence, and what Table refuses, with the row; ArgumentError for options; FileError for no such file;
              ReaderError without pyarrow.  Warns with TableWarning of gaps in times that are equally spaced otherwise

    A model gets the entries by name, such as mytorch.nn.Padded, which tells its layers how long the sequences are.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from mytorch.data import Sequences
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name) / "walks.npz"
        >>> who, when, x = np.array(["a", "b", "b", "a", "b"]), np.array([1, 1, 2, 0, 3]), np.arange(5.0)
        >>> np.savez(path, who=who, when=when, x=x, y=np.array(["up", "down", "down", "up", "down"]))
        >>> data = Sequences(path, "y", id="who", time="when")
        >>> inputs, targets = data[:]
        >>> inputs["x"][..., 0], inputs["lengths"], targets, data.classes
        (tensor([[3., 0., 0.],
                [1., 2., 4.]]), tensor([2, 3]), tensor([1, 0]), ('down', 'up'))
        >>> folder.cleanup()
    """

    ragged = True

    def __init__(
        self,
        path: str | Path,
        target: str | None = None,
        id: str | None = None,  # noqa: A002 - the word of the format
        time: str | None = None,
        *,
        features: Sequence[str] | None = None,
        per_step: bool = False,
        task: str | None = None,
        encode: str | dict[str, str] | None = None,
        unseen: str | None = None,
        missing: str | None = None,
        dates: str | Sequence[str] | None = None,
        day_first: bool | None = None,
        delimiter: str = ",",
        decimal: str = ".",
        encoding: str = "utf-8",
        dtype: torch.dtype | str = "float32",
        like: Mapping[str, Any] | None = None,
        targets: bool = True,
    ) -> None:
        self._dtype = floating_dtype("Sequences", dtype)
        path = require_path(self, "path", path)
        require_flags(self, per_step=per_step, targets=targets)
        reading = Reading(delimiter, decimal, encoding)
        if like is None:
            columns = self._columns(id=id, time=time, target=target)
            kept = {**columns, "per_step": per_step, "day_first": day_first, "reading": reading.to_json()}
            said = {"task": task, "encode": encode, "unseen": unseen, "missing": missing, "dates": dates}
            read = {"delimiter": delimiter, "decimal": decimal, "encoding": encoding, "day_first": day_first}
            self._learn(path, features, kept, {**said, **read, "dtype": dtype})
        else:
            self._read_like(path, reading, like, targets, dtype)

    def _columns(self, **columns: str | None) -> dict[str, str]:
        """The names of columns. Raises ArgumentError for what is none."""
        for option, name in columns.items():
            if not isinstance(name, str):
                raise ArgumentError(f"Sequences: {option} must name a column, got {shown(name)}")
        return {option: str(name) for option, name in columns.items()}

    def _learn(
        self, path: Path, features: Sequence[str] | None, kept: dict[str, Any], options: dict[str, Any]
    ) -> None:
        """Read a file that decides itself what its columns become."""
        if options["missing"] == "drop":
            raise ArgumentError(
                'Sequences: missing must be "mean" or "median", got \'drop\', which leaves holes in sequences'
            )
        source = open_table(path, Reading(**kept["reading"]))
        order = read_order(source, kept["id"], kept["time"], kept["day_first"])
        others = (kept["target"], kept["id"], kept["time"])
        chosen = [name for name in source.names if name not in others] if features is None else features
        self._set(path, order, Table(path, kept["target"], features=chosen, **options), kept)

    def _read_like(
        self, path: Path, reading: Reading, like: Mapping[str, Any], targets: bool, dtype: torch.dtype | str
    ) -> None:
        """Read a file as a former one was."""
        kept = _former(like)
        reading = Reading(**kept["reading"]).changed(reading)
        order = read_order(open_table(path, reading), kept["id"], kept["time"], kept["day_first"])
        told = {**(like[TABLE] if targets else without_target(like[TABLE])), "reading": reading.to_json()}
        self._set(path, order, Table(path, dtype=dtype, like={TABLE: told}), {**kept, "reading": reading.to_json()})

    def _set(self, path: Path, order: Order, table: Table, kept: Mapping[str, Any]) -> None:
        """Take the steps of a table in an order."""
        self._table, self._order, self._steps = table, order.rows, Steps(order.lengths)
        self.row_names = kept["id"], order.names
        self.columns, self.classes = table.columns, table.classes
        self._per_step = bool(kept["per_step"])
        if self._per_step and table.classes is None:
            raise ArgumentError(
                f"Sequences: targets of steps must be classes, got numbers in {shown(kept['target'])}, whose padding "
                "no loss leaves out"
            )
        self._of_sequences = None if self._per_step else self._one_each(path, str(kept["target"]), order)
        self.targets = self._rounded(self._of_sequences)
        self._kept = {"dataset": "mytorch-data:Sequences", **kept, "targets": kept["target"]}
        self._describe()

    @classmethod
    def new_rows(cls, path: str | Path, preparation: Mapping[str, Any], dtype: torch.dtype, targets: bool) -> Self:
        return cls(path, dtype=dtype, like=preparation, targets=targets)

    def learned_from(self, indices: Tensor) -> Sequences:
        """The same sequences, with what is filled in learned from some of them only."""
        other = copy.copy(self)
        other._table = self._table.learned_from(self._order[self._steps.of(indices)])
        other._describe()
        return other

    def __len__(self) -> int:
        return len(self._steps)

    def batch_at(self, indices: Tensor) -> tuple[dict[str, Tensor], Any]:
        inputs, targets = self.exact_at(indices)
        return {**inputs, "x": inputs["x"].to(self._dtype)}, self._rounded(targets)

    def exact_at(self, indices: Tensor) -> tuple[dict[str, Tensor], Any]:
        places, padding, lengths = self._steps.places(indices)
        x, classes = self._table.exact_at(self._order[places.flatten()])
        inputs = {"x": zeroed(unflat(x, places), padding), "lengths": lengths}
        if self._per_step:
            return inputs, None if classes is None else unflat(classes, places).masked_fill(padding, PADDING)
        return inputs, None if self._of_sequences is None else rows_at(self._of_sequences, indices)

    def _one_each(self, path: Path, target: str, order: Order) -> Tensor | None:
        """The target of each sequence. Raises TableError if it changes within one."""
        of_steps = self._table.exact_at(order.rows)[1]
        if of_steps is None:
            return None
        found: Tensor = of_steps[self._steps.starts]
        changed = (of_steps != found.repeat_interleave(order.lengths, 0)).reshape(len(of_steps), -1).any(1)
        if changed.any():
            place = int(changed.nonzero()[0])
            number = int((self._steps.starts <= place).sum()) - 1
            raise TableError(
                f"{path}: column {shown(target)} must be the same in all rows of a sequence, got "
                f"{self._told(found[number])} and {self._told(of_steps[place])} for {shown(order.names[number])}; "
                "per_step = true takes a class for each step"
            )
        return found

    def _told(self, target: Tensor) -> str:
        """A target for a message."""
        return f"{target.item():g}" if self._table.classes is None else shown(self._table.classes[int(target)])

    def _describe(self) -> None:
        self.preparation = {**(self._table.preparation or {}), KEY: self._kept}

    def _rounded(self, targets: Tensor | None) -> Tensor | None:
        return targets if targets is None or not targets.is_floating_point() else targets.to(self._dtype)


def _former(like: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a preparation keeps of former Sequences. Raises ArgumentError."""
    kept = like.get(KEY)
    needed = {"id", "time", "target", "per_step", "day_first", "reading"}
    if not isinstance(kept, Mapping) or not needed <= kept.keys() or not isinstance(like.get(TABLE), Mapping):
        raise ArgumentError(f"Sequences: like must be the preparation of former Sequences, got {shown(dict(like))}")
    return kept
