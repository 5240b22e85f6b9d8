"""What a training step changes, as one flat tensor for each dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors  # in C++: Python takes longer than a step

from mytorch.core import Buffer, Module, Optimizer, Parameter
from mytorch.core.optimizer_state import move
from mytorch.train.half_precision import HalfPrecision


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
    """Parameters, buffers, optimizer state and the scale of the loss, in the order in which a compiled step takes and
    returns them.

    Outside of a compiled step nothing is a view of the flat tensors: `gather` and `scatter` copy.
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
        self.parts: dict[torch.dtype, list[Slot]] = {}
        for slot in self.slots:
            self.parts.setdefault(slot.tensor(optimizer).dtype, []).append(slot)
        self.shapes = {slot: slot.tensor(optimizer).shape for slot in self.slots}

    @property
    def size(self) -> int:
        """How many numbers a step takes and returns, beside the batch."""
        return sum(shape.numel() for shape in self.shapes.values())

    def gather(self) -> list[Tensor]:
        """Copy everything into flat tensors."""
        return [_flatten_dense_tensors(self._tensors(slots)) for slots in self.parts.values()]

    def scatter(self, flats: Sequence[Tensor]) -> None:
        """Copy everything back into the parameters, buffers and the optimizer's state, in place."""
        for flat, slots in zip(flats, self.parts.values(), strict=True):
            tensors = self._tensors(slots)
            torch._foreach_copy_(tensors, _unflatten_dense_tensors(flat, tensors))

    def _tensors(self, slots: Sequence[Slot]) -> list[Tensor]:
        return [slot.tensor(self.optimizer) for slot in slots]

    def split(self, flats: Sequence[Tensor]) -> dict[Slot, Tensor]:
        """Views of the flat tensors."""
        values: dict[Slot, Tensor] = {}
        for flat, slots in zip(flats, self.parts.values(), strict=True):
            shapes = [self.shapes[slot] for slot in slots]
            pieces = flat.split([shape.numel() for shape in shapes])
            values |= {s: piece.view(shape) for s, piece, shape in zip(slots, pieces, shapes, strict=True)}
        return values

    def join(self, values: dict[Slot, Tensor]) -> list[Tensor]:
        """The flat tensors of values."""
        return [torch.cat([values[slot].reshape(-1) for slot in slots]) for slots in self.parts.values()]


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
