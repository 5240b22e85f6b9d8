"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, rows_at
from mytorch.data.dtype import floating_dtype
from mytorch.data.images.image_folder import KEY, prepared_images
from mytorch.data.table.errors import ReaderError

LARGEST = 16.0
"""The value of a pixel that is written on entirely."""


class Digits(DataSet):
    """1797 handwritten digits as small grey images, which scikit-learn brings: nothing is downloaded.

    Shapes:   inputs: (1797, 1, 8, 8) of dtype, from 0 to 1, white on black;  targets: (1797,), int64, the digit
    Raises:   ReaderError without scikit-learn
    Source:   Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits", its test part, as
              sklearn.datasets.load_digits has it

    Example:
        >>> from mytorch.data import Digits
        >>> inputs, targets = Digits()[:4]
        >>> inputs.shape, targets
        (torch.Size([4, 1, 8, 8]), tensor([0, 1, 2, 3]))
    """

    classes = tuple(map(str, range(10)))

    def __init__(self, dtype: torch.dtype | str = "float32") -> None:
        pixels, digits = _load()
        self.inputs = torch.from_numpy(pixels / LARGEST).unsqueeze(1).to(floating_dtype("Digits", dtype))
        self.targets = torch.from_numpy(digits).long()
        self.preparation = {KEY: prepared_images((8, 8), True, "grey", None, self.classes)}

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return rows_at(self.inputs, indices), rows_at(self.targets, indices)


def _load() -> tuple[Any, Any]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ReaderError(
            "Digits: scikit-learn, which brings the digits, is not installed. "
            "Install: python -m pip install './mytorch-data[digits]'"
        ) from error
    found: Any = load_digits()
    return found.images, found.target
