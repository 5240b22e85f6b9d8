"""The header of an array that NumPy stored: what it declares is judged before memory is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from mytorch.plugins import one_line

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class NpyHeader:
    """Shape, order of axes and type of an array, as its header declares them."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """The bytes of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: BinaryIO) -> NpyHeader | None:
    """The header at the beginning of a file, which then stands at the first number; None for types that are not plain.

    Raises ValueError, EOFError or OSError for what is no array.
    """
    read = _READERS.get(np.lib.format.read_magic(file))
    if read is None:
        return None
    try:
        return NpyHeader(*read(file))
    except (TokenError, SyntaxError, TypeError, RecursionError, MemoryError) as error:  # NumPy parses it as Python
        raise ValueError(f"a header that NumPy cannot read: {one_line(error)}") from None
