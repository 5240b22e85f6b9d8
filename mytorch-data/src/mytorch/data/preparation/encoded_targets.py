"""Class indices as the columns that some losses compare with."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, DataSet, DtypeError, Wrapped, rows_at

Encoding = Literal["one-hot", "binary"]


class EncodedTargets(Wrapped):
    """A data set of class indices whose targets are columns of 0 and 1.

    one-hot: (batch, classes), as MSELoss and CrossEntropyLoss with probabilities take them.
    binary: (batch, 1), as BCEWithLogitsLoss takes them; there must be two classes.
    count: the number of classes, if another data set decides it: the training data's for the test data's.
    Raises DtypeError if the targets are not integers, ArgumentError if they are outside of the classes, or if the data
    set has neither `classes` nor all its `targets`, so that their number is unknown.
    """

    def __init__(self, data: DataSet, encoding: Encoding, dtype: torch.dtype, count: int | None = None) -> None:
        super().__init__(data)
        self.encoding, self.dtype = encoding, dtype
        whole = data.targets if isinstance(data.targets, Tensor) else None
        self.count = self._count_classes(whole) if count is None else count
        self.targets = None if whole is None else self.encode(whole)

    def _count_classes(self, targets: Tensor | None) -> int:
        if self.encoding == "binary":
            return 2
        if self.classes is not None:
            return len(self.classes)
        if targets is None:
            raise ArgumentError(
                f"data.targets: {self.encoding} must know the number of classes, got {type(self.data).__name__} "
                "without `classes`; set it to the names of the classes"
            )
        return 0 if targets.is_floating_point() or not targets.numel() else int(targets.max()) + 1

    def encode(self, targets: Tensor) -> Tensor:
        """The columns of class indices of any shape."""
        if targets.is_floating_point():
            raise DtypeError(
                f"data.targets: {self.encoding} needs class indices, int64, got {targets.dtype}; "
                'use targets = "as-is" for numbers'
            )
        if outside := targets[(targets < 0) | (targets >= self.count)].tolist():
            raise ArgumentError(
                f"data.targets: {self.encoding} needs class indices from 0 to {self.count - 1}, got {outside[0]}"
            )
        columns = targets.unsqueeze(-1) if self.encoding == "binary" else F.one_hot(targets, self.count)
        return columns.to(self.dtype)

    def batch_at(self, indices: Tensor) -> tuple[Any, Tensor]:
        inputs, targets = self.data.batch_at(indices)
        return inputs, self._columns(indices, targets)

    def exact_at(self, indices: Tensor) -> tuple[Any, Tensor]:
        inputs, targets = self.data.exact_at(indices)
        return inputs, self._columns(indices, targets)

    def _columns(self, indices: Tensor, targets: Tensor) -> Tensor:
        return self.encode(targets) if self.targets is None else rows_at(self.targets, indices)
