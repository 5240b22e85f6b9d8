"""A reader of tables that keeps the contract of mytorch-data's NewRows and no more: numbers, commas, class names."""

import csv
from pathlib import Path

import torch

from mytorch.core import ArgumentError, DataSet

ROWS = "y,x\n0.5,1.25\n-1,-2\n3,-2.5\n"
INPUTS = torch.tensor([[1.25, 0.5], [-2.0, -1.0], [-2.5, 3.0]])
"""The same in the order of the columns that were trained on."""


class NewRows(DataSet):
    """The rows of a file, in the columns of a preparation; no targets if the file has none."""

    def __init__(self, path, preparation, dtype="float32"):
        features = [feature["name"] for feature in preparation["table"]["features"]]
        target = preparation["table"]["target"]
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise ArgumentError(f"{path}: must have at least one row, got none")
        for name in features:
            if name not in rows[0]:
                raise ArgumentError(f"{path}: must have the column {name!r}, got {', '.join(rows[0])}")
        self.columns, self.classes, self.preparation = tuple(features), target.get("classes"), preparation
        self.inputs = torch.tensor(
            [[float(row[name]) for name in features] for row in rows], dtype=getattr(torch, dtype)
        )
        learned = preparation.get("standardize")
        if learned:
            self.inputs = (self.inputs - torch.tensor(learned["mean"])) / torch.tensor(learned["std"])
        texts = [row[target["name"]] for row in rows] if target["name"] in rows[0] else None
        self.targets = texts if texts is None else self._read(texts)

    def _read(self, texts):
        if self.classes is None:
            return torch.tensor([[float(text)] for text in texts])
        return torch.tensor([self.classes.index(text) for text in texts])

    def __len__(self):
        return len(self.inputs)

    def batch_at(self, indices):
        return self.inputs[indices], None if self.targets is None else self.targets[indices]


class Numbers(DataSet):
    """One number to tell from two columns."""

    columns = ("a", "b")

    def __init__(self, rows: int = 60, dtype: str = "float32") -> None:
        generator = torch.Generator().manual_seed(3)
        self.inputs = torch.randn(rows, 2, generator=generator).to(getattr(torch, dtype))
        self.targets = self.inputs.sum(1, keepdim=True)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices):
        return self.inputs[indices], self.targets[indices]


class Shifted(DataSet):
    """A table in miniature: numbers of a file, less the first of those that were trained on."""

    columns, classes = ("x",), None

    def __init__(self, path, like=None):
        numbers = [float(line) for line in Path(path).read_text().splitlines()]
        self.preparation = {"first": numbers[0]} if like is None else dict(like)
        self.inputs = torch.tensor(numbers).unsqueeze(1) - self.preparation["first"]

    def __len__(self):
        return len(self.inputs)

    def batch_at(self, indices):
        return self.inputs[indices], self.inputs[indices]
