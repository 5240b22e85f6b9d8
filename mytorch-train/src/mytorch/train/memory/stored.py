"""Ways to store a tensor between the forward and the backward pass."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mytorch.plugins import FileError
from mytorch.train.size import size

Get = Callable[[], Tensor]
"""Gives the numbers of a tensor back, in one axis."""
BLOCK = 256
"""So many numbers share one scale in 8 bits."""


class Bfloat16:
    """Numbers with 8 significant bits: a relative error of at most 2^-9."""

    def put(self, flat: Tensor) -> Get:
        """Store the numbers of a tensor."""
        stored, dtype = flat.to(torch.bfloat16), flat.dtype
        return lambda: stored.to(dtype)

    def restart(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class Int8:
    """Whole numbers from -127 to 127 times a scale for each block: an error of at most 1/127 of its largest number.

    Formula:  scale = max |x| / 127 over the block;  q = round(x / scale), or sign(x) if that is 0;  x is scale * q
    Source:   Dettmers et al. 2022, "8-bit optimizers via block-wise quantization", with even steps

    Only 0 is stored as 0, since the backward of a rectifier asks which outputs are above 0: with small ones rounded to
    0, the error of the gradients of a convolutional network was 7 % in place of 1 %. A tensor with a number that is
    not finite, which would be the scale of its block, is kept as it is.
    """

    def put(self, flat: Tensor) -> Get:
        """Store the numbers of a tensor."""
        count, dtype = flat.numel(), flat.dtype
        rows = torch.nn.functional.pad(flat, (0, -count % BLOCK)).view(-1, BLOCK)
        scale = rows.abs().amax(1, keepdim=True) / 127
        if not scale.isfinite().all():
            return lambda: flat
        rounded = (rows / scale.masked_fill(scale == 0, 1)).round_()
        stored = torch.where(rounded == 0, rows.sign(), rounded).to(torch.int8)
        return lambda: (stored.to(dtype) * scale).view(-1)[:count]

    def restart(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class Disk:
    """A temporary file, in the folder that Python's tempfile chooses; numbers come back as they were.

    The file has no name and takes no room once it is closed, however the process ends.
    """

    def __init__(self) -> None:
        self._file: Any = None
        self._end = 0

    def put(self, flat: Tensor) -> Get:
        """Store the numbers of a tensor. Raises FileError if there is no room for them."""
        begin, shape, dtype, device = self._end, flat.shape, flat.dtype, flat.device
        self._write(_bytes(flat.cpu()))

        def get() -> Tensor:
            found = torch.empty(shape, dtype=dtype)
            self._read(_bytes(found), begin)
            return found.to(device)

        return get

    def restart(self) -> None:
        """Write from the beginning again: what was stored is not needed any more."""
        self._end = 0

    def close(self) -> None:
        """Give the room back."""
        if self._file is not None:
            self._file.close()
        self._file, self._end = None, 0

    def _write(self, numbers: memoryview) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                weakref.finalize(self, self._file.close)  # where nobody calls `close`
            self._file.seek(self._end)
            while len(numbers):
                written = self._file.write(numbers)
                self._end += written
                numbers = numbers[written:]
        except OSError as error:
            raise FileError(
                f"saved: the disk of {tempfile.gettempdir()} must have room for what layers save, got "
                f"{error.strerror or error} after {size(self._end)}; set TMPDIR to a folder on another disk, or take "
                "smaller batches"
            ) from error

    def _read(self, room: memoryview, at: int) -> None:
        assert self._file is not None
        self._file.seek(at)
        while len(room):
            room = room[self._file.readinto(room) :]


def _bytes(flat: Tensor) -> memoryview:
    return memoryview(flat.view(torch.uint8).numpy())  # type: ignore[arg-type]


STORES: dict[str, Callable[[], Any]] = {"bfloat16": Bfloat16, "int8": Int8, "disk": Disk}
