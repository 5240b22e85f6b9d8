"""What the stacks of encoder and of decoder layers have in common."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import (
    DescriptionError,
    Module,
    StateError,
    require_pair,
    require_room,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn._depth import MOST_LAYERS
from mytorch.nn.container import ModuleList
from mytorch.nn.container._sequence import require_module


class Saved(NamedTuple):
    """What the backward of a stack needs: the shape of its output, and what each layer and then the norm saved.

    The list is emptied from its end as the backward goes, so that memory falls.
    """

    shape: torch.Size
    steps: list[Any]


class Stack(Module):
    """Copies of one layer, one after the other, and perhaps a norm behind them."""

    layers: ModuleList
    norm: Module | None

    def _set_layers(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        require_whole(self, "num_layers", num_layers, 1, MOST_LAYERS)
        require_module(self, layer)
        held = [parameter.value for parameter in layer.param() if parameter.initialized]
        if held:
            numbers = num_layers * sum(value.numel() for value in held)
            require_room(self, "parameters of all layers", (numbers,), held[0], "take fewer layers, or smaller ones")
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.norm = None if norm is None else require_module(self, norm)

    def _described(self, name: str) -> dict[str, Any]:
        """The arguments, with the first layer for that of which all were copied."""
        first, *others = self.layers
        if any(repr(layer) != repr(first) for layer in others):
            raise DescriptionError(
                f"{type(self).__name__}: layers must be alike to be described, since one layer and a count describe "
                "them, got different ones; put them into a container instead"
            )
        return {name: first, "num_layers": len(self.layers), "norm": self.norm}

    def first_child(self) -> Module:
        return self.layers[0]

    def _forward(self, x: Tensor, *memory: Tensor, **masks: Any) -> tuple[Tensor, Saved]:
        steps = []
        for layer in self.layers:
            pair = layer.forward(x, *memory, **masks)
            require_pair(layer, pair)
            x, saved = pair
            steps.append(saved)
        if self.norm is not None:
            pair = self.norm.forward(x)
            require_pair(self.norm, pair)
            x, saved = pair
            steps.append(saved)
        return x, Saved(x.shape, steps)

    def _backward_of_norm(self, d_y: Tensor, saved: Saved) -> Any:
        return d_y if self.norm is None else self.norm.backward(d_y, saved.steps.pop())

    @property
    def _chain(self) -> list[Module]:
        """The layers, and the norm behind them if there is one."""
        return [*self.layers] if self.norm is None else [*self.layers, self.norm]

    def _call(self, x: Tensor, *memory: Tensor, **masks: Any) -> Tensor:
        """The output alone; what a layer saved is dropped before the next one is called."""
        for layer in self.layers:
            x = layer(x, *memory, **masks)
        return x if self.norm is None else self.norm(x)

    def _require_own(self, saved: Any, d_y: Any) -> None:
        """Raise an error unless `saved` is of such a stack and was not used before, and d_y has the shape of y."""
        require_saved(self, saved, Saved)
        require_upstream(self, d_y, saved.shape)
        steps = len(self.layers) + (self.norm is not None)
        if len(saved.steps) != steps:
            norm = "" if self.norm is None else " and one for the norm"
            raise StateError(
                f"{type(self).__name__}: saved must hold one value for each of {len(self.layers)} layers{norm}, got "
                f"{len(saved.steps)}; a saved value is good for one backward: call forward again"
            )
