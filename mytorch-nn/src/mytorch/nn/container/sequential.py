"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Self

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    StateError,
    kind_of,
    require_input,
    require_pair,
    require_upstream,
)
from mytorch.nn._tangents import chain_tangent
from mytorch.nn.container._sequence import ModuleSequence, require_module


class Sequential(ModuleSequence):
    """Pass a value through layers, each taking the output of the one before.

    Forward:   y = layer_n(... layer_2(layer_1(x)))
    Backward:  d_x = the layers' backward passes in reverse order, each taking the d_x of the one after
    Shapes:    x: what the first layer takes, its further inputs and options after it;  y: what the last layer gives
    Raises:    ArgumentError if a layer is not a Module; ContractError if a layer's forward returns no pair;
               StateError if a saved value is used twice, or layers came or went since its forward
    Source:    torch.nn.Sequential, whose behaviour it follows; the chain rule: Goodfellow, Bengio and Courville 2016,
               "Deep Learning", section 6.5.2

    It is a list: len, iteration, indices and slices, append, insert, extend, pop, del.

    Example:
        >>> net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
        >>> y, saved = net.forward(torch.zeros(5, 2))
        >>> net.backward(torch.ones(5, 1), saved).shape
        torch.Size([5, 2])
    """

    def __init__(self, *layers: Module) -> None:
        self.layers = [require_module(self, layer) for layer in layers]

    def forward(self, x: Any, *more: Any, **options: Any) -> tuple[Any, list[Any]]:
        saved = []
        for layer in self.layers:
            if more or options:
                pair = layer.forward(x, *more, **options)
                more, options = (), {}
            else:
                pair = layer.forward(x)
            if type(pair) is not tuple or len(pair) != 2:
                require_pair(layer, pair)
            x, kept = pair
            saved.append(kept)
        if not saved:
            require_input(self, x)
            saved.append(x.shape)
        return x, saved

    def backward(self, d_y: Any, saved: list[Any]) -> Any:
        if not isinstance(saved, list) or len(saved) != max(len(self.layers), 1):
            got = len(saved) if isinstance(saved, list) else kind_of(saved)
            raise StateError(
                f"Sequential: saved must hold one value for each of {len(self.layers)} layers, got {got}; "
                "a saved value is good for one backward: call forward again"
            )
        if not self.layers:
            require_upstream(self, d_y, saved.pop())
        handed = [d_y]
        del d_y  # each layer is given the only reference, so that its upstream gradient is free once it has used it
        for layer in reversed(self.layers):
            handed.append(layer.backward(handed.pop(), saved.pop()))
            if handed[0] is None and self._nothing_left(saved):
                saved.clear()
                break
        return handed.pop() if self.input_grad else None

    def tangent(self, t_x: Any, saved: list[Any], along: Directions) -> tuple[Any, list[Any]]:
        return chain_tangent(self.layers, t_x, saved, along) if self.layers else (t_x, [])

    def backward_tangent(
        self, d_y: Any, t_d_y: Any, saved: list[Any], t_saved: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        for number, layer in reversed([*enumerate(self.layers)]):
            d_y, t_d_y = layer.backward_tangent(d_y, t_d_y, saved[number], t_saved[number], along)
            if d_y is None and self._nothing_left(saved[:number]):
                break
        return (d_y, t_d_y) if self.input_grad else (None, None)

    def __call__(self, x: Any, *more: Any, **options: Any) -> Any:
        if not self.layers:
            require_input(self, x)
        for layer in self.layers:
            x = layer(x, *more, **options) if more or options else layer(x)
            more, options = (), {}
        return x

    def cut(self, counts: Sequence[int]) -> list[Sequential]:
        """Parts of so many layers each, which share the layers: one after the other they give what it gives.

        Raises ArgumentError unless the counts add up to all layers, and for a subclass with a forward of its own.
        """
        if sum(counts) != len(self.layers) or any(count < 0 for count in counts):
            raise ArgumentError(f"Sequential: counts must add up to its {len(self.layers)} layers, got {list(counts)}")
        if type(self).forward is not Sequential.forward or type(self).backward is not Sequential.backward:
            raise ArgumentError(
                f"{type(self).__name__}: it must have the forward and backward of Sequential to be cut, got its own; "
                "write it as a Sequential"
            )
        ends = [*accumulate(counts, initial=0)]
        return [Sequential(*self.layers[begin:end]) for begin, end in pairwise(ends)]

    def first_children(self) -> Iterator[Module]:
        """The layers up to the first with parameters: those before it make nothing but the data's gradient."""
        for layer in self.layers:
            yield layer
            if not _has_no_parameters(layer):
                return

    def _nothing_left(self, saved: list[Any]) -> bool:
        """Whether the layers that have not been answered give nothing but the data's gradient, which is none."""
        return not self.input_grad or all(_has_no_parameters(layer) for layer in self.layers[: len(saved)])

    def arguments(self) -> dict[str, Any]:
        return {"layers": list(self.layers)}

    def _of(self, layers: list[Module]) -> Self:
        return type(self)(*layers)


def _has_no_parameters(layer: Module) -> bool:
    return next(layer.named_param(), None) is None
