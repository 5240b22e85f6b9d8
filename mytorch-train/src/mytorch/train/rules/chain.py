"""The layers of a model that is a chain, one by one and in the blocks that learn together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Rule, kind_of, random_state

SMALL = "in which the small differences between activities that it learns from are lost"
"""Why some rules refuse half precision."""

Layer = tuple[str, Module]
"""A layer with its path in the model."""


class Block:
    """Layers one after the other that learn together: one with parameters, and those without that follow it."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> tuple[Any, list[Any]]:
        """What the layers make of x, and what each of them saved."""
        saved = []
        for _, layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def unseen(self, x: Any) -> Any:
        """What the layers make of x, in calls that are no part of the step."""
        for _, layer in self.layers:
            x = unseen(layer, x)
        return x

    def backward(self, d_y: Any, saved: list[Any]) -> Any:
        """Add to the gradients of the parameters and return that of the input, or None where a layer gives none."""
        for _, layer in reversed(self.layers):
            d_y = layer.backward(d_y, saved.pop())
            if d_y is None:
                saved.clear()
                break
        return d_y

    def learn(self, d_y: Any, saved: list[Any]) -> None:
        """The backward without the gradient of the input, which nobody needs."""
        lowest = [vars(layer) for layer in self._lowest]
        before = [held.get("input_grad") for held in lowest]
        try:
            for held in lowest:
                held["input_grad"] = False
            self.backward(d_y, saved)
        finally:
            for held, own in zip(lowest, before, strict=True):
                if own is None:
                    del held["input_grad"]
                else:
                    held["input_grad"] = own

    def head(self) -> Block:
        """The layers up to the one that has parameters."""
        return Block(self.layers[: self._first + 1])

    def tail(self) -> Block:
        """The layers without parameters behind it."""
        return Block(self.layers[self._first + 1 :])

    @cached_property
    def _lowest(self) -> list[Module]:
        """The layers up to the first with parameters, each once."""
        return list({layer: None for _, layer in self.layers[: self._first + 1]})

    @cached_property
    def _first(self) -> int:
        """Where the first layer with parameters stands."""
        return next((at for at, (_, layer) in enumerate(self.layers) if layer.param()), len(self.layers) - 1)

    def __str__(self) -> str:
        named = [f"{type(layer).__name__} ({path!r})" for path, layer in self.layers]
        return named[0] if len(named) == 1 else f"{named[0]} to {named[-1]}"


def blocks_of(rule: Rule, net: Module, whole: bool = False) -> list[Block]:
    """The blocks of a chain: each begins with a layer that has parameters, the first one also with what precedes it.

    whole: whether a layer that holds others, such as Residual, is taken as one layer.
    Raises ArgumentError for a net that is no chain of such layers, or has none.
    """
    blocks: list[list[Layer]] = []
    trained = False
    for path, layer in layers_of(rule, net, whole):
        if not blocks or (trained and layer.param()):
            blocks.append([])
        trained = trained or bool(layer.param())
        blocks[-1].append((path, layer))
    return [Block(layers) for layers in blocks]


def layers_of(rule: Rule, net: Module, whole: bool = False) -> list[Layer]:
    """The layers of a Sequential, those of a Sequential in it in its place.

    Raises ArgumentError for any other net, for no layer at all, and for a layer that holds layers, unless `whole`.
    """
    found = list(_flat(rule, "", net, whole))
    if not found:
        raise ArgumentError(f"{_name(rule)}: the model must have a layer, got {type(net).__name__} without any")
    return found


def _flat(rule: Rule, path: str, net: Module, whole: bool) -> list[Layer]:
    cut = getattr(net, "cut", None)
    if not callable(cut):
        if path and (whole or next(net.children(), None) is None):
            return [(path, net)]
        where = f" at {path!r}" if path else ""
        others = "LocalLosses or DirectFeedbackAlignment, which train such a layer as one, or " if path else ""
        raise ArgumentError(
            f"{_name(rule)}: the model must be a chain of layers, a Sequential, got {type(net).__name__}{where}; "
            f"write it as a Sequential of single layers, or take {others}FeedbackAlignment, which trains any model"
        )
    layers: list[Module] = list(net)  # type: ignore[call-overload]
    cut([len(layers)])  # which refuses a subclass with a forward of its own
    prefix = f"{path}." if path else ""
    return [found for at, layer in enumerate(layers) for found in _flat(rule, f"{prefix}{at}", layer, whole)]


def require_tensor(rule: Rule, what: str, value: Any) -> Tensor:
    """Raise ArgumentError unless what goes in or comes out is one tensor with an axis of rows."""
    if not isinstance(value, Tensor) or not value.dim():
        raise ArgumentError(
            f"{_name(rule)}: {what} must be one tensor with an axis of rows, got "
            f"{kind_of(value) if not isinstance(value, Tensor) else 'one without axes'}; train this model by another "
            "rule"
        )
    return value


def rows_of(x: Tensor) -> Tensor:
    """All numbers of each row side by side, also where there is no row."""
    return x.reshape(len(x), x.shape[1:].numel())


def require_fixed(rule: Rule, blocks: Sequence[Block], x: Any) -> None:
    """Raise ArgumentError for a layer that computes otherwise in training than in evaluation, on this batch.

    That is dropout, which draws, and batch norm, which keeps statistics of what it sees: a rule that calls a layer
    several times in a step would have each call see another layer. Neither statistics nor random state are changed.
    """
    with random_state():
        for path, layer in (named for block in blocks for named in block.layers):
            buffers = [(held, held.value.clone()) for _, held in layer.named_buffer()]
            mode, trained = layer.training, unseen(layer, x)
            for held, value in buffers:
                held.value = value
            try:
                evaluated = unseen(layer.eval(), x)
            finally:
                layer.train(mode)
            if not _same(trained, evaluated):
                raise ArgumentError(
                    f"{_name(rule)}: layers must compute the same in every call of a step, got {type(layer).__name__} "
                    f"({path!r}), which draws, or keeps statistics of its batches; leave it out, or take a "
                    "normalisation of each row, such as LayerNorm"
                )
            x = trained


def unseen(layer: Module, x: Any) -> Any:
    """What a layer makes of x, in a call that is no part of the step and that who watches the layers does not see.

    A layer in half precision is given x in it.
    """
    dtype = next((held.value.dtype for held in layer.param() if held.value.is_floating_point()), None)
    if dtype is not None and isinstance(x, Tensor) and x.is_floating_point():
        x = x.to(dtype)
    return type(layer).forward(layer, x)[0]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    return not isinstance(one, Tensor) or torch.equal(one.nan_to_num(), other.nan_to_num())


def _name(rule: Rule) -> str:
    return type(rule).__name__
