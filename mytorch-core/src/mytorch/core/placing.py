"""Where tensors lie that last: values of parameters and buffers, optimizer state, and copies of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

Place = Callable[[Tensor], Tensor]
_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def placing(place: Place) -> Iterator[None]:
    """Within this context, `place` decides where the values of new parameters and buffers lie, and persistent copies.

    place: is given a tensor and returns it, or a new one with the same numbers, dtype, shape and strides that lies
        elsewhere, such as in a file. It is called outside inference mode.

    Example:
        >>> import torch
        >>> from mytorch.core import Parameter, placing
        >>> value = torch.ones(2)
        >>> with placing(torch.clone):
        ...     weight = Parameter(value)
        >>> value += 1
        >>> weight.value
        tensor([1., 1.])
    """
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def placed(value: Tensor) -> Tensor:
    """A tensor where it is to lie: the same one unless somebody places tensors."""
    place = _place.get()
    if place is None:
        return value
    with torch.inference_mode(False), torch.no_grad():
        return place(value)
