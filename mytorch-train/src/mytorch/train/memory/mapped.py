"""Tensors whose numbers lie in temporary files, which the system reads and writes back as it has room in memory."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from mytorch.core import ArgumentError, placing
from mytorch.plugins import FileError
from mytorch.train.memory.storages import lies_apart, span_of
from mytorch.train.size import size

LEAST = 2**16
"""Bytes from which a tensor gets a file; smaller ones stay in memory."""
_BLOCK = bytes(2**20)
_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP)


@contextmanager
def on_disk() -> Iterator[None]:
    """Within this context, new parameters, buffers and optimizer state lie in temporary files instead of memory.

    So a model is built that is larger than memory: one tensor at a time is in memory, before it goes to its file. The
    weights are those that they would be in memory. Tensors of less than 64 KiB stay there.
    A file lies in the folder that Python's tempfile chooses, has no name, and is gone with its tensor.
    Raises FileError where a disk has no room.

    Example:
        >>> from mytorch.nn import Linear
        >>> from mytorch.train import on_disk
        >>> with on_disk():
        ...     layer = Linear(1000, 1000)
        >>> layer.weight
        Parameter((1000, 1000), torch.float32)
    """
    require_mapping()
    with placing(to_disk):
        yield


def require_mapping() -> None:
    """Raise ArgumentError where the system does not let a file be removed that is in use."""
    if sys.platform == "win32":
        raise ArgumentError(
            "weights: must be left out on Windows, where a file that is in use cannot be removed, got 'disk'; train "
            "on Linux or macOS"
        )


def is_on_disk(value: Tensor) -> bool:
    """Whether the numbers of a tensor lie in a file that is written back."""
    return value.is_cpu and value.layout is torch.strided and value.untyped_storage().filename is not None


def to_disk(value: Tensor) -> Tensor:
    """A copy of a tensor that lies in a temporary file, with the same strides.

    One that is small, or not dense in the memory of the processor, is returned as it is.
    Raises FileError if there is no room.
    """
    if not (value.is_cpu and value.layout is torch.strided and value.nbytes >= LEAST and lies_apart(value)):
        return value
    span = span_of(value)
    copy = _mapped(span * value.element_size()).view(value.dtype).as_strided(value.shape, value.stride())
    return copy.copy_(value)


def _mapped(count: int) -> Tensor:
    """So many bytes in a file of their own, which has no name any more."""
    try:
        handle, path = tempfile.mkstemp(prefix="mytorch-")
        try:
            try:
                _allocate(handle, count)
            finally:
                os.close(handle)
            return torch.from_file(path, shared=True, size=count, dtype=torch.uint8)
        finally:
            Path(path).unlink()
    except (OSError, RuntimeError) as error:  # torch's, where the system does not map the file
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise FileError(
            f"weights: the disk of {tempfile.gettempdir()} must have room for values, optimizer state and copies of "
            f"them, got {reason} at a tensor of {size(count)}; set TMPDIR to a folder on another disk"
        ) from error


def _allocate(handle: int, count: int) -> None:
    """Give a file its room now: to write through memory to a disk that is full would end the process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, count)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            return
    while count:
        count -= os.write(handle, memoryview(_BLOCK)[:count])
