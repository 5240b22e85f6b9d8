"""What an optimizer looks at before it updates parameters: their values, gradients and state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mytorch.core.compiling import is_compiling
from mytorch.core.errors import DtypeError, ShapeError
from mytorch.core.optimizer_state import SHAPED, Entries, State, countable, misfit, walkable
from mytorch.core.parameter import Parameter
from mytorch.core.parameter_groups import Group, described

_is_contiguous = Tensor.is_contiguous


class FittedParameters:
    """Parameters that were found to have state and gradients which fit their values, and what is known since then.

    All is looked at again at each step, in as few operations as there can be: tensors may be replaced, or resized in
    place, and a kernel that walks through memory checks nothing.
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        self.values = [p.value for p in parameters]
        self.walkable = not is_compiling() and walkable(self.values)
        self._seen = [(p, value, value.shape, value.numel()) for p, value in zip(parameters, self.values, strict=True)]
        self._columns: dict[str, list[Tensor]] = {}
        self._held: dict[str, list[tuple[Parameter, Tensor, int]]] = {}

    @property
    def grads(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]  # as all have

    def gradients(self, parameters: list[Parameter]) -> list[Tensor] | None:
        """The gradients of those of `parameters` that are trained, if these are as they were seen; else None."""
        if parameters != self.parameters:  # some are frozen, or have no gradient
            parameters = [p for p in parameters if p.grad is not None and p.trainable]
            if parameters != self.parameters:
                return None
        grads = []
        try:
            for p, value, shape, size in self._seen:
                grad: Any = p.grad
                if p._value is not value or value.numel() != size or grad.shape != shape or not p.trainable:
                    return None
                if grad.is_meta:  # for which a kernel does nothing, in silence
                    return None
                grads.append(grad)
        except (AttributeError, RuntimeError):  # a gradient that is None, no tensor, or nested, without a shape
            return None
        return grads

    def may_walk(self, grads: list[Tensor]) -> bool:
        """Whether a kernel that walks through memory may be given the values and these gradients of their shapes."""
        try:
            return self.walkable and all(map(_is_contiguous, self.values)) and all(map(_is_contiguous, grads))
        except (RuntimeError, TypeError):  # a sparse one, or what is no tensor
            return False

    def held(
        self, names: tuple[str, ...], grads: list[Tensor], state: Mapping[Parameter, State]
    ) -> dict[str, list[Tensor]] | None:
        """The entries of the state for such a kernel, if it may walk and `hold` has seen them like this; else None."""
        if not self.may_walk(grads):
            return None
        found = {}
        try:
            for name in names:
                found[name] = self._columns[name]
                for p, tensor, size in self._held[name]:
                    if state[p][name] is not tensor or tensor.numel() != size:
                        return None
                if not all(map(_is_contiguous, found[name])):
                    return None
        except (KeyError, RuntimeError):  # none yet, or one that became sparse
            return None
        return found

    def hold(self, names: tuple[str, ...], state: Mapping[Parameter, State], entries: Entries) -> bool:
        """Look at the entries of the state, which all parameters have: whether a kernel may walk through them."""
        for name in names:
            column = [state[p][name] for p in self.parameters]
            counts = entries.get(name) == "number"
            if not (countable(self.values, column) if counts else walkable(self.values, [column])):
                return False
            self._columns[name] = column
            self._held[name] = [(p, tensor, tensor.numel()) for p, tensor in zip(self.parameters, column, strict=True)]
        return True


def require_fitting(owner: str, groups: list[Group], entries: Entries, parameter: Parameter, state: State) -> None:
    """Raise an error for a value whose numbers are whole, and for state of another shape."""
    if not parameter.value.is_floating_point() and not parameter.value.is_complex():
        raise DtypeError(
            f"{owner}: {described(groups, parameter)} must be floating point to be trained, got "
            f"{parameter.value.dtype}; convert its value with .float()"
        )
    for name, held in state.items():
        kind = entries.get(name)
        if kind in SHAPED and (problem := misfit(held, kind, parameter.value)):
            raise ShapeError(
                f"{owner}: state {name!r} of {described(groups, parameter)} {problem}; where a value was "
                "replaced by one of another shape, start anew with optimizer.state.pop(parameter)"
            )


def require_gradients(owner: str, groups: list[Group], parameters: list[Parameter]) -> None:
    """Raise the error of the first gradient that is not like its value."""
    for p in parameters:
        if not _alike(p.value, p.grad):  # only then a description, for which all parameters are looked through
            _refuse(f"{owner}: gradient of {described(groups, p)}", p.value, p.grad)


def _refuse(what: str, value: Tensor, grad: Any) -> None:
    if not isinstance(grad, Tensor):
        raise DtypeError(f"{what} must be a tensor, got {type(grad).__name__}")
    if grad.is_nested:
        raise DtypeError(f"{what} must be a dense tensor, got a nested one; add up its parts")
    if grad.shape != value.shape:
        raise ShapeError(f"{what} must have the shape of the value, {tuple(value.shape)}, got {tuple(grad.shape)}")
    if grad.dtype is not value.dtype or grad.layout is not value.layout:
        raise DtypeError(
            f"{what} must be as the value is, {value.dtype} and {value.layout}, got {grad.dtype} and {grad.layout}; "
            "convert it, or the model"
        )
    raise DtypeError(
        f"{what} must be on the device of the value, {value.device}, got {grad.device}; move the model before the "
        "forward"
    )


def _alike(value: Tensor, grad: Any) -> bool:
    """Whether a gradient is as its value is."""
    return (
        isinstance(grad, Tensor)
        and not grad.is_nested
        and grad.shape == value.shape
        and grad.dtype is value.dtype
        and grad.layout is value.layout
        and grad.device == value.device
    )
