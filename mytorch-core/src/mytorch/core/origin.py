"""Numbers of a batch that was moved to an accelerator, as they were in main memory, where a look at them is free."""

from __future__ import annotations

from torch import Tensor

from mytorch.core.compiling import is_compiling

_NAME = "_mytorch_origin"


def keep_origin(moved: Tensor, origin: Tensor) -> Tensor:
    """Let `readable` find the numbers of a tensor that was moved from the CPU. Returns that tensor.

    The origin lives as long as the tensor, and nobody may write into either.
    """
    if origin.device.type == "cpu" and moved is not origin:
        setattr(moved, _NAME, origin)
    return moved


def readable(values: Tensor) -> Tensor | None:
    """The same numbers on the CPU, if that costs no wait: the tensor itself, or the one that it was moved from.

    A rule on the numbers, such as that each is a class, is checked with them: a GPU that finds an index out of range
    makes the whole process unusable, and to look there at each batch would wait for it. None while compiling, for what
    was computed on an accelerator, and for a view of what was moved.
    """
    if is_compiling():
        return None
    return values if values.device.type == "cpu" else getattr(values, _NAME, None)
