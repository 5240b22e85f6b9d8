"""Arrays in files as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, require_path
from mytorch.data.arrays.stored_array import StoredArray
from mytorch.data.dtype import floating_dtype
from mytorch.data.table.errors import TableError, shown

KEY = "arrays"
"""Under which name `preparation` keeps which arrays there are."""


class Arrays(DataSet):
    """Rows of arrays that NumPy stored, of any shape, read from the file batch by batch: they may exceed the memory.

    path:     an NPZ file, or a folder of .npy files. Of arrays of more than 32 MiB that are stored uncompressed, only
              the rows of a batch are read; compressed ones and small ones are read as a whole
    inputs:   the name of the array of inputs, NAME in NPZ files, and in a folder that of the file NAME.npy
    targets:  that of the targets; None for rows without
    classes:  the names of the classes, if targets are their indices
    Shapes:   inputs: (rows, ...);  targets: (rows,) or (rows, ...), each as it is stored
    dtype:    what floating-point numbers and truth values become; whole numbers become int64
    like:     the `preparation` of former Arrays, whose inputs these must resemble. Targets may be absent then
    Raises:   TableError for a damaged file, an array that is not there, objects (which are never unpickled), text,
              unequal numbers of rows, and when the file changes; FileError for no such file; ArgumentError for options

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from mytorch.data import Arrays
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name) / "images.npz"
        >>> np.savez(path, x=np.random.rand(10, 1, 8, 8), y=np.arange(10) % 3)
        >>> data = Arrays(path, "x", "y")
        >>> inputs, targets = data[2:5]
        >>> inputs.shape, inputs.dtype, targets
        (torch.Size([3, 1, 8, 8]), torch.float32, tensor([2, 0, 1]))
        >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | Path,
        inputs: str | None = None,
        targets: str | None = None,
        *,
        classes: Sequence[str] | None = None,
        dtype: torch.dtype | str = "float32",
        like: Mapping[str, Any] | None = None,
    ) -> None:
        self._dtype = floating_dtype("Arrays", dtype)
        path = require_path(self, "path", path)
        former = None if like is None else _former(like)
        if former is not None:
            inputs, targets = inputs or former["inputs"], targets or former["targets"]
        if inputs is None:
            raise ArgumentError("Arrays: inputs must name an array, got None")
        self._inputs = StoredArray(path, inputs)
        self._targets = _targets(path, targets, optional=former is not None)
        rows = len(self)
        if self._targets is not None and self._targets.shape[0] != rows:
            raise TableError(
                f"{path}: arrays must have the same number of rows, got {shown(inputs)}: {rows} and "
                f"{shown(targets)}: {self._targets.shape[0]}"
            )
        self.classes = None if classes is None else tuple(classes)
        self.targets = self._classes(path, targets)
        shape = list(self._inputs.shape[1:])
        if former is not None and (shape, self.whole) != (former["shape"], former["whole"]):
            wanted = f"rows of {'whole' if former['whole'] else 'floating-point'} numbers of shape {former['shape']}"
            raise TableError(f"{path}: array {shown(inputs)} must hold {wanted}, got {self._inputs.dtype} {shape}")
        kept = {"inputs": inputs, "targets": targets, "shape": shape, "whole": self.whole}
        self.preparation = {KEY: {"dataset": "mytorch-data:Arrays", **kept}}

    @property
    def whole(self) -> bool:
        """Whether inputs are whole numbers, such as those of words."""
        return self._inputs.dtype.kind in "iu"

    def __len__(self) -> int:
        return self._inputs.shape[0]

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        inputs, targets = self.exact_at(indices)
        return self._rounded(inputs), None if targets is None else self._rounded(targets)

    def exact_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        return self._read(self._inputs, indices), None if self._targets is None else self._read(self._targets, indices)

    def _read(self, array: StoredArray, indices: Tensor) -> Tensor:
        """Rows of an array as they are stored; whole numbers as int64, truth values as numbers."""
        found = array.rows(indices)
        if found.is_floating_point():
            return found
        return found.to(self._dtype if found.dtype is torch.bool else torch.int64)

    def _rounded(self, values: Tensor) -> Tensor:
        return values.to(self._dtype) if values.is_floating_point() else values

    def _classes(self, path: Path, name: str | None) -> Tensor | None:
        """The targets of all rows, if there is one whole number a row. Raises TableError for what is no class."""
        array = self._targets
        if array is None or len(array.shape) != 1 or array.dtype.kind not in "iu":
            if self.classes is not None and (array is None or array.dtype.kind not in "iu"):
                got = "no targets" if array is None else str(array.dtype)
                raise ArgumentError(f"Arrays: classes must be left out unless targets are whole numbers, got {got}")
            return None
        found = self._read(array, torch.arange(len(self)))
        if self.classes is not None and (int(found.min()) < 0 or int(found.max()) >= len(self.classes)):
            raise TableError(
                f"{path}: array {shown(name)} must hold indices of the {len(self.classes)} classes, from 0, got "
                f"{int(found.min())} to {int(found.max())}"
            )
        return found


def _targets(path: Path, name: str | None, optional: bool) -> StoredArray | None:
    """The array of targets. If it is optional, a file without it has none."""
    if name is None:
        return None
    if optional and not StoredArray.is_there(path, name):
        return None
    return StoredArray(path, name)


def _former(like: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a preparation keeps of former Arrays. Raises ArgumentError."""
    kept = like.get(KEY)
    if not isinstance(kept, Mapping) or not {"inputs", "targets", "shape", "whole"} <= kept.keys():
        raise ArgumentError(f"Arrays: like must be the preparation of former Arrays, got {shown(dict(like))}")
    return kept
