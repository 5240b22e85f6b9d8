"""Bodies with arrays: an NPZ file, or lists of numbers in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mytorch.core import DataSet
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.predict.new_rows import rows_of
from mytorch.experiments.serve.files import Files
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.media import JSON, NPZ
from mytorch.experiments.serve.read_json import kind_of_json, read_object, require_list
from mytorch.experiments.serve.refusal import Refusal


class ArrayForm(Form):
    """Rows of an array, each of one shape; None stands for a shape that the run does not know."""

    def __init__(self, kept: KeptData, dtype: torch.dtype) -> None:
        self.kept, self.dtype = kept, dtype
        known = kept.dataset is not None
        self.takes = (JSON, NPZ) if known else (JSON,)
        self.name = str(kept.entry["inputs"]) if known else ""
        self.shape: tuple[int, ...] | None = tuple(kept.entry["shape"]) if known else None
        self.whole = kept.entry.get("whole") is True
        numbers = "whole numbers" if self.whole else "numbers"
        of = "of the shape that the model takes" if self.shape is None else f"of shape {list(self.shape)}"
        self.about = f"Each row is {numbers} {of}, as lists within lists."

    def rows(self, media: str, body: bytes, files: Files) -> DataSet:
        file = files.folder / "request.npz"
        if media == NPZ:
            file.write_bytes(body)
            return rows_of(file, self.kept, self.dtype, targets=False)
        array = self._array(require_list(read_object(body, "rows"), "rows"), body)
        if self.shape is None:
            return rows_of(torch.from_numpy(array), self.kept, self.dtype, targets=False)
        arrays: dict[str, Any] = {self.name: array}
        np.savez(file, **arrays)
        return rows_of(file, self.kept, self.dtype, targets=False)

    def _array(self, rows: Sequence[Any], body: bytes) -> np.ndarray[Any, Any]:
        """Rows as an array, float64 or int64. Raises Refusal for what is no number, and for lists of other lengths."""
        shape = _shape_of(rows[0]) if self.shape is None else self.shape
        try:
            array = np.array(rows)
        except (ValueError, OverflowError):
            array = np.empty(0)
        fits = array.shape == (len(rows), *shape) and array.dtype.kind in ("i" if self.whole else "if")
        if not fits or b"true" in body or b"false" in body:  # which NumPy takes for numbers among others
            for number, row in enumerate(rows, 1):
                _require_numbers(row, shape, f"request: row {number}", self.whole)
            if not fits:
                raise Refusal(422, "request: numbers must be ones that int64 or float64 can hold, got a larger one")
        array = array if self.whole else array.astype(np.float64)
        if not np.isfinite(array).all():
            raise Refusal(422, "request: numbers must be finite, got one that float64 cannot hold")
        return array

    def content(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "integer" if self.whole else "number"}
        example: Any = 0 if self.whole else 0.5
        for size in reversed(self.shape or ()):
            schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
            example = [example] * size
        if self.shape is None:
            schema, example = {"type": "array"}, None
        rows = {"type": "array", "minItems": 1, "items": schema, "description": self.about}
        told = {"type": "object", "properties": {"rows": rows}, "required": ["rows"], "additionalProperties": False}
        found = {JSON: {"schema": told} | ({} if example is None else {"example": {"rows": [example]}})}
        if NPZ in self.takes:
            shape = ", ".join(["rows", *map(str, self.shape or ())])
            about = f'A file of numpy.savez with the array "{self.name}", ({shape}).'
            found[NPZ] = {"schema": {"description": about}}
        return found


def _shape_of(row: Any) -> tuple[int, ...]:
    """That of lists within lists, by the first of each."""
    return (len(row), *(_shape_of(row[0]) if row else ())) if isinstance(row, list) else ()


def _require_numbers(value: Any, shape: Sequence[int], owner: str, whole: bool) -> None:
    if not shape:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise Refusal(422, f"{owner} must be a {'whole ' * whole}number, got {kind_of_json(value)}")
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        got = f"a list of {len(value)}" if isinstance(value, list) else kind_of_json(value)
        raise Refusal(422, f"{owner} must be a list of {shape[0]}, got {got}")
    for number, entry in enumerate(value, 1):
        _require_numbers(entry, shape[1:], f"{owner}, {number}", whole)
