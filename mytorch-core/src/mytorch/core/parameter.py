"""The tensors that a module owns: parameters, which are trained, and buffers, which are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor

from mytorch.core.checks import autograd_allowed, kind_of, require_same_device, require_value
from mytorch.core.errors import ArgumentError, AutogradError, DtypeError, ShapeError
from mytorch.core.placing import placed


def _owned(value: Tensor, owner: str) -> Tensor:
    """A tensor that can be kept for training: outside autograd and outside inference mode."""
    require_value(f"{owner}: value", value)
    if value.is_inference():
        with torch.inference_mode(False):
            value = value.clone()
    return placed(value.detach())


class Held:
    """A tensor that a module owns and that may be replaced: what Parameter and Buffer have in common."""

    __slots__ = ("__weakref__", "_blank", "_value")

    initialized: ClassVar[bool] = True
    """Whether there is a value. Those that lazy layers hold have none at first."""

    _kind: ClassVar[str]
    _value: Tensor

    @property
    def value(self) -> Tensor:
        return self._value

    @value.setter
    def value(self, value: Tensor) -> None:
        self._value = self._checked(value)

    def _checked(self, value: Tensor) -> Tensor:
        """What is kept of a tensor that replaces the value. Raises ArgumentError for what is no tensor."""
        if not isinstance(value, Tensor):
            require_value(f"{self._kind}: value", value)
        return value.detach() if value.requires_grad and not autograd_allowed() else value

    def convert(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace the value by what `change` makes of it."""
        self.value = change(self.value)


class Parameter(Held):
    """A trained tensor and the gradient of the final scalar with respect to it.

    `value` and `grad` (None until a backward) may be read and replaced; `value, grad = parameter` unpacks them.
    With `trainable=False`, backward passes add nothing and optimizers pass it by.
    The value shares memory with the tensor that it is made from, unless `placing` puts it elsewhere, or that replaces
    it.
    Raises, also where the value is replaced: ArgumentError for what is no tensor; DtypeError for whole numbers and
    truth values that are to be trained.
    """

    __slots__ = ("grad", "trainable")

    _kind = "Parameter"

    def __init__(self, value: Tensor, trainable: bool = True) -> None:
        self.trainable = trainable
        self.value = _owned(value, "Parameter")
        self.grad: Tensor | None = None

    def _checked(self, value: Tensor) -> Tensor:
        value = super()._checked(value)
        if self.trainable and not value.is_floating_point() and not value.is_complex():
            raise DtypeError(
                f"Parameter: value must be floating point to be trained, got {value.dtype}; convert with .float(), or "
                "keep it in a Buffer"
            )
        return value

    def accumulate(self, d_value: Tensor) -> None:
        """Add a gradient. The first is kept as it is, so it must be a fresh tensor that nobody else holds.

        One of another dtype is converted to the value's, so that float32 values may be trained by the gradients of
        half-precision copies.
        Raises ArgumentError for what is no tensor, or one on the meta device where the first is not; ShapeError if its
        shape is not the value's: broadcasting would hide a missing sum; DtypeError for a nested one, or a complex one
        of a real value; AutogradError outside inference mode if the first was made under it.
        """
        if not self.trainable:
            return
        value = self.value
        try:
            fits = isinstance(d_value, Tensor) and d_value.shape == value.shape
        except RuntimeError:  # a nested one has no shape
            fits = False
        if not fits:
            self.require_shape(d_value)
        if self.grad is None:
            self.grad = d_value if d_value.dtype is value.dtype else self._converted(d_value)
        else:
            if d_value.is_meta is not self.grad.is_meta:  # of which torch would add nothing, in silence
                require_same_device("Parameter", d_value, self.grad, "gradient", "first one")
            try:
                self.grad.add_(d_value)
            except RuntimeError as error:
                self._converted(d_value)
                if not self.grad.is_inference():
                    raise
                # Adding again would count twice: torch has written the sum by the time it refuses.
                raise AutogradError(
                    "Parameter: gradient must be added under inference mode where the first was made under it, "
                    "got one outside; call zero_grad() and run every backward under torch.inference_mode(), or none"
                ) from error

    def require_shape(self, d_value: Tensor) -> None:
        """Raise ArgumentError unless a gradient is a tensor, ShapeError unless it has the shape of the value now."""
        if not isinstance(d_value, Tensor):
            raise ArgumentError(f"Parameter: gradient must be a tensor, got {kind_of(d_value)}")
        if d_value.is_nested:
            raise DtypeError("Parameter: gradient must be a dense tensor, got a nested one; add up its parts")
        if d_value.shape != self.value.shape:
            raise ShapeError(
                f"Parameter: gradient must have the shape of the value, {tuple(self.value.shape)}, "
                f"got {tuple(d_value.shape)}"
            )

    def _converted(self, d_value: Tensor) -> Tensor:
        """A gradient in the dtype that the value has now."""
        if d_value.is_complex() and not self.value.is_complex():
            raise DtypeError(f"Parameter: gradient must be real, as the value is, got {d_value.dtype}")
        return d_value.to(self.value.dtype)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def __iter__(self) -> Iterator[Tensor | None]:
        return iter((self.value, self.grad))

    def __repr__(self) -> str:
        frozen = "" if self.trainable else ", trainable=False"
        return f"Parameter({_summary(self.value)}{frozen})"


class Buffer(Held):
    """A tensor that is saved with the module's state and not trained, such as running statistics.

    Raises ArgumentError, also where the value is replaced, for what is no tensor.
    """

    __slots__ = ()

    _kind = "Buffer"

    def __init__(self, value: Tensor) -> None:
        self.value = _owned(value, "Buffer")

    def __repr__(self) -> str:
        return f"Buffer({_summary(self.value)})"


def _summary(value: Tensor) -> str:
    place = "" if value.device.type == "cpu" else f", {value.device}"
    return f"{tuple(value.shape)}, {value.dtype}{place}"
