"""Parameters and buffers that have no value yet, since the shape of the first input decides theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from mytorch.core.errors import UninitializedError
from mytorch.core.parameter import Buffer, Held, Parameter

WAY_OUT = "run one batch through the model, or load a state dict"


class _Uninitialized(Held):
    """What a parameter and a buffer without a value have in common.

    The value may be set, once its shape is known; from then on this is an ordinary Parameter or Buffer. Nothing is
    asked of those when their value is read: a class of its own refuses, and setting the value changes the class.
    """

    __slots__ = ()

    initialized = False
    _becomes: type[Parameter | Buffer]
    _blank: Tensor

    @property
    def device(self) -> torch.device:
        """Where the value will be."""
        return self._blank.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the value will have."""
        return self._blank.dtype

    @property
    def value(self) -> Tensor:
        raise UninitializedError(
            f"{self._kind}: value must have a shape before it is read, got a lazy one without; {WAY_OUT}"
        )

    @value.setter
    def value(self, value: Tensor) -> None:
        value = self._checked(value)
        self.__class__ = self._becomes  # type: ignore[assignment]  # the same slots, and no check at each read
        self.value = value
        del self._blank

    def convert(self, change: Callable[[Tensor], Tensor]) -> None:
        """Decide the dtype and device that the value will have: those of `change` of a tensor as it would be now."""
        self._blank = change(self._blank)

    def __repr__(self) -> str:
        place = "" if self.device.type == "cpu" else f", {self.device}"
        return f"{type(self).__name__}({self.dtype}{place})"


class UninitializedParameter(_Uninitialized, Parameter):
    """A Parameter without a value. It becomes a Parameter once its value is set, and stays the same object.

    device, dtype: of the value to come; torch's defaults if None. `to()` of the module changes them.
    Raises UninitializedError where the value is read. The name is torch's.

    Example:
        >>> import torch
        >>> from mytorch.core import UninitializedParameter
        >>> weight = UninitializedParameter(dtype=torch.float64)
        >>> weight
        UninitializedParameter(torch.float64)
        >>> weight.value = torch.zeros(2, 3, dtype=weight.dtype)
        >>> weight
        Parameter((2, 3), torch.float64)
    """

    __slots__ = ()
    _becomes = Parameter

    def __init__(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        trainable: bool = True,
    ) -> None:
        self._blank = torch.empty(0, device=device, dtype=dtype)
        self.grad, self.trainable = None, trainable


class UninitializedBuffer(_Uninitialized, Buffer):
    """A Buffer without a value. It becomes a Buffer once its value is set, and stays the same object.

    device, dtype: of the value to come; torch's defaults if None. `to()` of the module changes them.
    Raises UninitializedError where the value is read. The name is torch's.

    Example:
        >>> import torch
        >>> from mytorch.core import UninitializedBuffer
        >>> mean = UninitializedBuffer()
        >>> mean.initialized
        False
        >>> mean.value = torch.zeros(3)
        >>> mean, mean.initialized
        (Buffer((3,), torch.float32), True)
    """

    __slots__ = ()
    _becomes = Buffer

    def __init__(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        self._blank = torch.empty(0, device=device, dtype=dtype)


def require_initialized(owner: str, named: Iterable[tuple[str, Parameter | Buffer]]) -> None:
    """Raise UninitializedError, with their names, if parameters or buffers have no value yet."""
    without = [name for name, held in named if not held.initialized]
    if without:
        raise UninitializedError(
            f"{owner}: every parameter and buffer must have its shape, got lazy ones without: {', '.join(without)}; "
            f"{WAY_OUT}, first"
        )
