"""Where the rows of a part come from, and what a reader recognises them by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, View, Wrapped, fetch
from mytorch.plugins import printable

COLUMNS = 6
"""Input columns of a row that are shown at most."""
LENGTH = 40
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Origin:
    """The rows of a part as those of the file, or other data set, that they come from.

    source: that data set, below splits, standardisation, encodings and changes at random.
    places: of each row in `source`, int64, from 0.
    numbers: of each row in the file, int64, from 1: rows that were left out of it count, too.
    """

    source: DataSet
    places: Tensor
    numbers: Tensor

    @classmethod
    def of(cls, data: DataSet) -> Origin:
        """That of the rows of a data set, through everything that was made of another one row by row."""
        places = torch.arange(len(data))
        while isinstance(data, View) or (isinstance(data, Wrapped) and len(data) == len(data.data)):
            places = data.indices[places] if isinstance(data, View) else places
            data = data.data
        in_file = getattr(data, "places", None)
        return cls(data, places, (places if in_file is None else in_file[places]) + 1)

    def is_same(self, other: Origin) -> bool:
        """Whether these are the same rows: of the same numbers and names, with the same targets."""
        if not torch.equal(self.numbers, other.numbers) or self.names != other.names:
            return False
        one, two = (each.source.targets for each in (self, other))
        if not isinstance(one, Tensor) or not isinstance(two, Tensor):
            return True
        return torch.equal(one[self.places], two[other.places])

    @property
    def names(self) -> list[str] | None:
        """Those of the rows, such as the files of images; None where rows have none."""
        if self.source.row_names is None:
            return None
        return [self.source.row_names[1][place] for place in self.places.tolist()]

    def find(self, row: str) -> int | None:
        """The row of a number in the file, or of a name, such as the file of an image; None if it is not here."""
        found = (self.numbers == int(row)).nonzero() if row.isdecimal() and len(row) < 19 else torch.empty(0, 1)
        if not len(found) and self.source.row_names is not None:
            names = self.source.row_names[1]
            found = torch.tensor([[at] for at, place in enumerate(self.places.tolist()) if names[place] == row])
        return int(found[0, 0]) if len(found) else None

    @property
    def headings(self) -> list[str]:
        """What `cells` shows: the number, the name, some columns or the beginning of a text, and the target."""
        named = [] if self.source.row_names is None else [self.source.row_names[0]]
        return ["row", *named, *(["text"] if self.source.tokens else self._columns), "target"]

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        """The columns that are shown; () unless a row is a number for each column."""
        columns = self.source.columns
        if not columns or not len(self.source):
            return ()
        inputs, _ = fetch(self.source, torch.tensor([0]))
        return columns[:COLUMNS] if isinstance(inputs, Tensor) and inputs.shape == (1, len(columns)) else ()

    def cells(self, row: int) -> list[str]:
        """What a reader recognises a row by, with the values of the file as far as columns are numbers."""
        place = int(self.places[row])
        targets = self.source.targets
        if isinstance(targets, Tensor) and not self.source.tokens and not self._columns:
            inputs, target = None, targets[place : place + 1]  # of an image, whose file need not be read
        else:
            inputs, target = fetch(self.source, torch.tensor([place]))
        named = [] if self.source.row_names is None else [self.source.row_names[1][place]]
        return [str(int(self.numbers[row])), *named, *self._seen(inputs), self.target(target)]

    def _seen(self, inputs: Any) -> list[str]:
        if not self.source.tokens:
            return [f"{value:.4g}" for value in inputs[0, : len(self._columns)].tolist()] if self._columns else []
        if not isinstance(inputs, Tensor):
            return ["-"]
        tokens, count = self.source.tokens, len(self.source.tokens)
        read = [tokens[index] for index in inputs.flatten()[:LENGTH].tolist() if 0 <= index < count]
        return [printable("".join(token.strip("'") or token for token in read))[:LENGTH]]

    def target(self, target: Any) -> str:
        """The target of a batch of one row, as text: a class by its name, a number as it is; "-" for several."""
        if not isinstance(target, Tensor) or target.numel() != 1:
            return "-"
        value, classes = target.item(), self.source.classes
        if classes and not target.is_floating_point() and 0 <= value < len(classes):
            return classes[int(value)]
        return f"{self.source.in_units(target).item():.6g}"
