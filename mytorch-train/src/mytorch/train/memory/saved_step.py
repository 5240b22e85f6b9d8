"""A training step that stores what layers save in less memory, between the passes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer
from mytorch.plugins import nearest, shown
from mytorch.train.around_step import AroundStep
from mytorch.train.mean_loss import Weight
from mytorch.train.memory.storages import lies_apart, span_of
from mytorch.train.memory.stored import STORES, Disk, Get
from mytorch.train.observe import Method, intercept
from mytorch.train.quantities.structure import leaves, mapped, tensors

LEAST = 1024
"""Tensors of fewer numbers stay as they are, such as the means of a normalisation."""


class SavedStep(AroundStep):
    """Takes the step that `plain` takes, with what layers save stored in another way between the passes.

    plain: `step`, `step_accumulated` or `step_in_backward`, with their options.
    saved: "bfloat16" or "int8", which change gradients, or "disk", which changes nothing.
    """

    def __init__(self, plain: Callable[..., Any], saved: str) -> None:
        if saved not in STORES:
            raise ArgumentError(
                f"saved: must be one of {', '.join(STORES)}, got {shown(saved)}. {nearest(str(saved), STORES)}"
            )
        self.plain, self.saved, self.store = plain, saved, STORES[saved]()

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The options of the plain step, and how values are stored if it changes numbers."""
        own = {} if isinstance(self.store, Disk) else {"saved": self.saved}
        return {**super().keywords, **own}

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises FileError if a disk has no room."""
        aside = [*(held.value for _, held in net.named_state()), *tensors(inputs), *tensors(targets)]
        storing = Storing(net, self.store, {_block(value) for value in aside if value.layout is torch.strided})
        with intercept(net.named_modules(), storing.around):
            result: tuple[Tensor, Weight] = self.plain(net, loss, optimizer, inputs, targets)
        return result

    def close(self) -> None:
        """Give back what the store holds."""
        self.store.close()


def close_store(take_step: Any) -> None:
    """Give back what a step holds between the passes; at the end of a training."""
    if isinstance(take_step, SavedStep):
        take_step.close()


class _Stored:
    """What stands for the saved value of a module: the same with other tensors."""

    def __init__(self, saved: Any) -> None:
        self.saved = saved


class _Packed:
    """What stands for a tensor: its numbers in a store, and how they lie in memory."""

    def __init__(self, get: Get, shape: torch.Size, stride: tuple[int, ...], dense: bool) -> None:
        self.get, self.shape, self.stride, self.dense = get, shape, stride, dense

    def tensor(self) -> Tensor:
        """The tensor again, with the strides that it had."""
        flat = self.get()
        if self.dense:
            return flat.as_strided(self.shape, self.stride)
        found = torch.empty_strided(self.shape, self.stride, dtype=flat.dtype, device=flat.device)
        return found.copy_(flat.view(self.shape))


class Storing:
    """Its `around` is given to `intercept`, with all modules of a net, around steps.

    store: one of those in `stored`. aside: the addresses of blocks of memory that are alive anyway.
    What a layer computes again during the backward pass is left as it is, and so is what it saves in an object of its
    own, such as a Checkpoint or a Reversible.
    """

    def __init__(self, net: Module, store: Any, aside: set[int]) -> None:
        self.net, self.store, self.aside = net, store, aside
        self.going_back = False
        self._known: dict[tuple[Any, ...], tuple[weakref.ref[Tensor], weakref.ref[_Packed]]] = {}

    def around(self, _path: str, module: Module, name: str, method: Method) -> Method:
        """What stands for the forward and the backward of a module."""

        def forward(*inputs: Any, **options: Any) -> Any:
            if module is self.net:
                self.going_back = False
                self._known.clear()
                self.store.restart()
            pair = method(*inputs, **options)
            if self.going_back or type(pair) is not tuple or len(pair) != 2:
                return pair
            stored = mapped(self._packed, pair[1])
            return pair[0], (_Stored(stored) if any(isinstance(one, _Packed) for one in leaves(stored)) else pair[1])

        def backward(d_output: Any, saved: Any) -> Any:
            self.going_back = True
            if not isinstance(saved, _Stored):
                return method(d_output, saved)
            kept, saved.saved = saved.saved, None
            return method(d_output, mapped(_unpacked, kept))

        return forward if name == "forward" else backward

    def _packed(self, value: Any) -> Any:
        """What is stored in place of a tensor; anything else as it is. A tensor that several layers save, once."""
        if not isinstance(value, Tensor) or not self._is_worth(value):
            return value
        key = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        value_then, packed_then = self._known.get(key, (_nothing, _nothing))
        packed = packed_then() if value_then() is not None else None
        if packed is None:
            packed = self._store(value)
            self._known[key] = weakref.ref(value), weakref.ref(packed)
        return packed

    def _is_worth(self, value: Tensor) -> bool:
        lossy = not isinstance(self.store, Disk)
        if value.layout is not torch.strided or value.numel() < LEAST or _block(value) in self.aside:
            return False
        if lossy and not (value.is_floating_point() and value.element_size() > 2):
            return False
        return not value.is_complex() and lies_apart(value)

    def _store(self, value: Tensor) -> _Packed:
        span = span_of(value)
        dense = span == value.numel()
        flat = value.as_strided((span,), (1,)) if dense else value.reshape(-1).contiguous()
        return _Packed(self.store.put(flat), value.shape, value.stride(), dense)


def _nothing() -> None:
    pass


def _unpacked(leaf: Any) -> Any:
    return leaf.tensor() if isinstance(leaf, _Packed) else leaf


def _block(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()
