"""Rows to predict, and data sets of numbers."""

from pathlib import Path

import torch

from mytorch.core import DataSet

ROWS = "y,x\n0.5,1.25\n-1,-2\n3,-2.5\n"
INPUTS = torch.tensor([[1.25, 0.5], [-2.0, -1.0], [-2.5, 3.0]])
"""The same in the order of the columns that were trained on."""


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


class Lines(DataSet):
    """Two numbers a line and their sum, each line named by a word before them."""

    def __init__(self, path, scale=1.0, like=None, dtype="float32", targets=True):
        self.scale = scale if like is None else like["lines"]["scale"]
        words = [line.split() for line in Path(path).read_text().splitlines()]
        numbers = torch.tensor([[float(word) for word in line[1:]] for line in words])
        self.inputs = (numbers * self.scale).to(dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype))
        self.sums = self.inputs.sum(1, keepdim=True) if targets else None
        self.row_names = "word", [line[0] for line in words]
        self.preparation = {"lines": {"dataset": "toy-lines:Lines", "scale": self.scale}}

    @classmethod
    def new_rows(cls, path, preparation, dtype, targets):
        return cls(path, like=preparation, dtype=dtype, targets=targets)

    def __len__(self):
        return len(self.inputs)

    def batch_at(self, indices):
        return self.inputs[indices], None if self.sums is None else self.sums[indices]
