"""Whether there is room for a tensor, asked before it is made.

torch's own refusal names no layer, some of its kernels count beyond what they hold without a word, and a system that
runs out of memory ends the process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mytorch.core.checks import WIDEST
from mytorch.core.compiling import is_compiling
from mytorch.core.errors import ArgumentError
from mytorch.plugins import memory, shown

FITS = 2**20
"""So many numbers have room everywhere: of fewer, nothing else is asked."""


def require_room(
    owner: object, name: str, shape: Sequence[int], like: Tensor, way_out: str, *, dtype: torch.dtype | None = None
) -> None:
    """Raise ArgumentError unless a tensor of `shape` fits, on the device of `like` and of its dtype, or of `dtype`.

    That is, into the memory of the machine or of the GPU, and on other devices into what torch can count. A layer
    calls it before it makes an output whose size an argument decides.

    Example:
        >>> import torch
        >>> from mytorch.core import require_room
        >>> require_room("Upsample", "y", (1, 3, 64, 64), torch.ones(1), "lower scale_factor")
    """
    if not 0 < math.prod(shape) <= FITS:
        _require_room(owner, name, shape, like.device, dtype or like.dtype, way_out)


def empty(
    owner: object,
    name: str,
    shape: Sequence[int],
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """torch.empty for a parameter or buffer. Raises ArgumentError, with owner and name, if there is no room for it.

    Example:
        >>> from mytorch.core import empty
        >>> empty("Linear", "weight", (4, 3)).shape
        torch.Size([4, 3])
    """
    require_room(owner, name, shape, torch.empty(0, device=device, dtype=dtype), "make its sizes smaller")
    return torch.empty(tuple(shape), device=device, dtype=dtype)


def _require_room(
    owner: object, name: str, shape: Sequence[int], device: torch.device, dtype: torch.dtype, way_out: str
) -> None:
    if is_compiling():  # sizes may be symbols here, and what is recorded takes no memory
        return
    count = math.prod(shape)
    if count == 0:  # strides are counted all the same
        count, most, place = math.prod(max(size, 1) for size in shape), WIDEST, "torch can count, an empty axis as 1"
    else:
        most, place = _there(device)
    most //= dtype.itemsize
    if count > most:
        own = owner if isinstance(owner, str) else type(owner).__name__
        raise ArgumentError(
            f"{own}: {name} must have at most {most:,} numbers of {dtype}, as many as {place}, got sizes "
            f"{shown(tuple(shape))}; {way_out}"
        )


def _there(device: torch.device) -> tuple[int, str]:
    """How many bytes a tensor on a device may take at most, and what says so."""
    if device.type == "cpu" and (there := memory()) is not None:
        return there, "the memory of this machine holds"
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory, "the memory of the GPU holds"
    return WIDEST, "torch can count"
