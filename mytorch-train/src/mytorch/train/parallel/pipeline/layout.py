"""Tensors as one message: what one stage of a pipeline gives to the next, and the gradients that come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import ArgumentError, ShapeError, kind_of

ALIGNMENT = 16
"""Bytes: so many stand before the numbers, and each tensor begins at a multiple of it."""


class Layout(NamedTuple):
    """Which tensors make a message, in order: one, or a tuple of several.

    The first byte says whether it holds numbers: a stage that failed sends 1 in place of them, of the same size.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[torch.dtype, ...]
    single: bool

    @classmethod
    def of(cls, value: Any) -> Layout:
        """That of an output. Raises ArgumentError for what is neither a tensor nor a tuple of tensors."""
        entries = value if type(value) is tuple else (value,)
        if wrong := [entry for entry in entries if not isinstance(entry, Tensor) or entry.layout is not torch.strided]:
            raise ArgumentError(
                "stages: what a stage gives to the next must be a tensor or a tuple of tensors, got "
                f"{kind_of(value if value is wrong[0] else wrong[0])}{'' if value is wrong[0] else ' in a tuple'}; "
                "cut the model elsewhere, as in stages = [2, 3], the layers of each stage"
            )
        return cls(tuple(tuple(e.shape) for e in entries), tuple(e.dtype for e in entries), type(value) is not tuple)

    def __str__(self) -> str:
        kinds = [f"{dtype} {shape}" for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]
        return kinds[0] if self.single else f"({', '.join(kinds)})"

    @property
    def gradients(self) -> Layout:
        """That of the gradients: of the numbers that have one."""
        kept = [at for at, dtype in enumerate(self.dtypes) if _has_gradient(dtype)]
        return Layout(tuple(self.shapes[at] for at in kept), tuple(self.dtypes[at] for at in kept), self.single)

    @property
    def places(self) -> list[int]:
        """Where each tensor begins, and the size of the whole, in bytes."""
        sizes = [prod(shape) * dtype.itemsize for shape, dtype in zip(self.shapes, self.dtypes, strict=True)]
        return list(accumulate((-(-size // ALIGNMENT) * ALIGNMENT for size in sizes), initial=ALIGNMENT))

    def empty(self, device: torch.device) -> Tensor:
        """Memory for a message."""
        return torch.empty(self.places[-1], dtype=torch.uint8, device=device)

    def failure(self, device: torch.device) -> Tensor:
        """A message without numbers."""
        message = self.empty(device)
        message[0] = 1
        return message

    def pack(self, tensors: Sequence[Tensor | None], device: torch.device) -> Tensor:
        """A message with these numbers; None stands for zeros. Raises ShapeError for tensors of other shapes."""
        message = self.empty(device)
        message[0] = 0
        for view, tensor in zip(self.unpack(message), tensors, strict=True):
            if tensor is None:
                view.zero_()
            elif tensor.shape != view.shape:
                raise ShapeError(
                    f"stages: the gradient of a stage's input must have its shape, {tuple(view.shape)}, got "
                    f"{tuple(tensor.shape)}"
                )
            else:
                view.copy_(tensor)
        return message

    def unpack(self, message: Tensor) -> list[Tensor]:
        """The tensors of a message, which lie in its memory."""
        begins = self.places[:-1]
        return [
            message[begin : begin + prod(shape) * dtype.itemsize].view(dtype).view(shape)
            for begin, shape, dtype in zip(begins, self.shapes, self.dtypes, strict=True)
        ]

    def output(self, message: Tensor) -> Any:
        """What the stage before gave."""
        tensors = self.unpack(message)
        return tensors[0] if self.single else tuple(tensors)

    def d_output(self, message: Tensor) -> Any:
        """The gradient of what was given, with None for whole numbers; `self` is the layout of the output."""
        found = iter(self.gradients.unpack(message))
        entries = [next(found) if _has_gradient(dtype) else None for dtype in self.dtypes]
        return entries[0] if self.single else tuple(entries)

    def pack_gradients(self, d_input: Any, device: torch.device) -> Tensor:
        """A message with the gradient of what the stage before gave, which has this layout."""
        entries = (d_input,) if self.single else d_input if d_input is not None else (None,) * len(self.dtypes)
        given = [entry for entry, dtype in zip(entries, self.dtypes, strict=True) if _has_gradient(dtype)]
        return self.gradients.pack(given, device)


def _has_gradient(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype.is_complex


def shapes_of(inputs: Any) -> Any:
    """The shapes of a batch's inputs, from which those of all outputs follow."""
    if isinstance(inputs, Tensor):
        return tuple(inputs.shape), inputs.dtype
    if isinstance(inputs, Mapping):
        return tuple((name, shapes_of(entry)) for name, entry in inputs.items())
    return None if inputs is None else tuple(map(shapes_of, inputs))
