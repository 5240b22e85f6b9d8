"""The pictures of the tensors of one step, each tensor once."""

from __future__ import annotations

import weakref
from dataclasses import replace

import torch
from torch import Tensor

from mytorch.train.explain.numbers_of import WHOLE, Numbers, histogram
from mytorch.train.explain.picture import picture_of


class Gallery:
    """Draws what has not been drawn: the output of a layer is the input of the next one."""

    def __init__(self) -> None:
        self._drawn: dict[int, weakref.ref[Tensor]] = {}

    def numbers(self, name: str, value: Tensor | float, parameter: bool) -> Numbers:
        """What a tensor holds, with its picture unless it is small or was drawn as long as it lives."""
        numbers = Numbers.of(name, value)
        if not isinstance(value, Tensor) or value.layout is not torch.strided or value.numel() <= WHOLE:
            return numbers
        numbers = replace(numbers, histogram=histogram(value))
        place = value.untyped_storage().data_ptr()
        before = self._drawn.get(place, lambda: None)()
        if before is not None:
            return numbers
        picture = picture_of(name, value, parameter)
        if picture is not None:
            self._drawn[place] = weakref.ref(value)
        return replace(numbers, picture=picture)
