"""What a training step changes."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, is_
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Buffer, Module, Optimizer, Parameter
from mytorch.core.optimizer_state import move
from mytorch.train.half_precision import HalfPrecision

_dtype = attrgetter("dtype")


class Slot(NamedTuple):
    """One tensor that a step reads and changes."""

    name: str
    held: Parameter | Buffer
    entry: str | None = None
    """Of the optimizer's state for this parameter; None for the value itself."""

    def tensor(self, optimizer: Optimizer) -> Tensor:
        """The tensor as it is now."""
        value: Tensor = self.held.value if self.entry is None else _state(optimizer, self.held)[self.entry]
        return value


class Carry:
    """Parameters, buffers, optimizer state and the scale of the loss, in the order in which a step takes them.

    A compiled step changes them where they lie, so that nothing is copied and the model is always up to date.
    """

    def __init__(
        self, net: Module, loss: Module, optimizer: Optimizer, precision: HalfPrecision | None = None
    ) -> None:
        self.optimizer = optimizer
        for parameter, held in optimizer.state.items():  # as its next step would, after a run was resumed in bfloat16
            move(held, optimizer.state_entries, parameter.value)
        self.slots = find_slots(net, loss, optimizer)
        if precision is not None:
            self.slots += [Slot(f"precision.{name}", held) for name, held in precision.held.items()]
        self._fitting = self.now()  # tensors of these kinds may be given to a step
        self._kinds = [_kind(tensor) for tensor in self._fitting]
        self._looks = _looks(self._fitting)  # the same, but for the device: a quarter of the time

    def now(self) -> list[Tensor]:
        """The tensors as they are now. Raises KeyError for state that is gone."""
        state = self.optimizer.state  # without `Slot.tensor`, which takes twice as long
        return [
            held.value if entry is None else state.get(held, {})[entry]  # type: ignore[arg-type]
            for _, held, entry in self.slots
        ]

    def tensors(self) -> list[Tensor] | None:
        """The same; None if some have become tensors of another shape, layout or dtype, or are gone."""
        try:
            tensors = self.now()
        except KeyError:  # of the optimizer's state
            return None
        if not all(map(is_, tensors, self._fitting)):
            if [_kind(tensor) for tensor in tensors] != self._kinds:
                return None
            self._fitting = tensors
        elif _looks(tensors) != self._looks:  # some were changed in place, as by t_()
            return None
        return tensors

    def copies(self) -> list[Tensor]:
        """Copies that a step can be tried on."""
        return [_copy(tensor) for tensor in self.now()]

    def by_dtype(self, values: Sequence[Any]) -> list[list[Any]]:
        """Something of each tensor, or the tensors themselves, in one list for each dtype."""
        parts: dict[torch.dtype, list[Any]] = {}
        for (dtype, *_), value in zip(self._kinds, values, strict=True):
            parts.setdefault(dtype, []).append(value)
        return list(parts.values())


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.dtype, tensor.shape, layout(tensor), tensor.device


def layout(tensor: Tensor) -> Any:
    """The strides, which machine code knows; of a sparse tensor, which has none, how it is kept."""
    return tensor.stride() if tensor.layout is torch.strided else tensor.layout


def _looks(tensors: Sequence[Tensor]) -> list[Any]:
    return [*map(Tensor.stride, tensors), *map(Tensor.size, tensors), *map(_dtype, tensors)]


def _copy(tensor: Tensor) -> Tensor:
    """A copy with the same strides, which is what machine code knows."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    reach = 1 + sum((size - 1) * stride for size, stride in steps) if tensor.numel() else 0
    memory = tensor.as_strided((reach,), (1,)).clone()
    return memory.as_strided(tensor.shape, tensor.stride(), 0)


def find_slots(net: Module, loss: Module, optimizer: Optimizer) -> list[Slot]:
    """Every parameter and buffer of the model and the loss once, and every tensor of the optimizer's state."""
    names: dict[Parameter | Buffer, str] = {}
    for prefix, module in (("", net), ("loss.", loss)):
        for name, held in module.named_state():
            names.setdefault(held, prefix + name)
    for group, settings in enumerate(optimizer.param_groups):
        for number, parameter in enumerate(settings["params"]):
            names.setdefault(parameter, f"group{group}.{number}")
    slots = [Slot(name, held) for held, name in names.items()]
    for held, name in names.items():
        entries = _state(optimizer, held)
        slots += [Slot(f"{name}.{key}", held, key) for key, value in entries.items() if isinstance(value, Tensor)]
    return slots


def _state(optimizer: Optimizer, held: Parameter | Buffer) -> dict[str, Tensor]:
    return optimizer.state.get(held, {}) if isinstance(held, Parameter) else {}
