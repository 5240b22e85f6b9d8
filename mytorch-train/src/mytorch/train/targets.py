"""Class indices as the columns that some losses compare with."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import DataSet, DtypeError
from mytorch.train.batches import fetch

Encoding = Literal["one-hot", "binary"]


class EncodedTargets(DataSet):
    """A data set of class indices whose targets are columns of 0 and 1.

    one-hot: (batch, classes), as MSELoss and CrossEntropyLoss with probabilities take them.
    binary: (batch, 1), as BCEWithLogitsLoss takes them; there must be two classes.
    Raises DtypeError if the targets are not integers.
    """

    def __init__(self, data: Any, encoding: Encoding, dtype: torch.dtype) -> None:
        self.data, self.encoding, self.dtype = data, encoding, dtype
        self.columns: tuple[str, ...] = tuple(getattr(data, "columns", ()))
        self.classes = getattr(data, "classes", None)
        self.preparation = getattr(data, "preparation", None)
        targets = getattr(data, "targets", None)
        self._encoded = self.encode(targets) if isinstance(targets, Tensor) else None

    def encode(self, targets: Tensor) -> Tensor:
        """The columns of class indices of any shape."""
        if targets.is_floating_point():
            raise DtypeError(
                f"data.targets: {self.encoding} needs class indices, int64, got {targets.dtype}; "
                'use targets = "as-is" for numbers'
            )
        if self.encoding == "binary":
            return targets.unsqueeze(-1).to(self.dtype)
        classes = len(self.classes) if self.classes is not None else -1
        return F.one_hot(targets, classes).to(self.dtype)

    def __len__(self) -> int:
        return len(self.data)

    def __getitems__(self, indices: Tensor | list[int]) -> tuple[Any, Tensor]:
        inputs, targets = fetch(self.data, torch.as_tensor(indices))
        return inputs, self.encode(targets) if self._encoded is None else self._encoded[indices]
