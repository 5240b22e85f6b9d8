"""A layer that takes its sizes from its first input, or from a state dict."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import tree
from mytorch.core.errors import ShapeError, UninitializedError
from mytorch.core.module import Module
from mytorch.core.parameter import Buffer, Parameter


class LazyModule(Module):
    """A layer whose sizes are not all known yet. The first forward tells them, and makes it a layer of another class.

    A subclass names that class, holds an UninitializedParameter or UninitializedBuffer in the place of each of its
    parameters and buffers, takes its arguments but for the sizes, and writes two methods:

        becomes = Linear                       # from the first forward on, as with torch's lazy modules
        sizes_of_input(x)                      # its missing arguments by name, of the input of the first forward
        sizes_of_state(state)                  # those of the tensors by name that load_state_dict was given for it

    The parameters stay the same objects, so that one may be tied, or set not to be trained, before; what its
    constructor would draw is drawn at the first forward. State dicts and descriptions made from then on are those of
    the class that it has become.
    """

    becomes: ClassVar[type[Module]]

    def sizes_of_input(self, *inputs: Any, **options: Any) -> dict[str, Any]:
        """The missing arguments. Raises, as the layer's own forward does, for an input that does not fit."""
        raise NotImplementedError(f"{type(self).__name__}: sizes_of_input must be defined")

    def sizes_of_state(self, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        """The missing arguments, or None if the tensors given do not tell them."""
        raise NotImplementedError(f"{type(self).__name__}: sizes_of_state must be defined")

    def forward(self, *inputs: Any, **options: Any) -> tuple[Any, Any]:
        self.take_over(self.built(self.sizes_of_input(*inputs, **options)))
        return self.forward(*inputs, **options)  # of the class that this is now

    def backward(self, d_output: Any, saved: Any, /) -> Any:  # noqa: ARG002
        name = type(self).__name__
        raise UninitializedError(
            f"{name}: backward must come after a forward, got a layer whose sizes are not known yet"
        )

    def built(self, sizes: Mapping[str, Any]) -> Module:
        """A layer of the class to come, of these sizes, where this one is, with its weights drawn."""
        arguments = self.arguments() | dict(sizes)
        place = {}
        for _, held in islice(_held(self), 1):  # a layer may have neither parameters nor buffers
            first = held.value if held.initialized else held
            place = {"device": first.device, "dtype": first.dtype}
        taken = inspect.signature(self.becomes).parameters.keys() & place.keys()
        with torch.inference_mode(False):
            layer = self.becomes(**arguments | {name: place[name] for name in taken}).to(**place)
        layer._module_arguments = [], arguments
        return layer

    def fitted_to(self, state: Mapping[str, Tensor]) -> Module | None:
        """The layer that this becomes by tensors of a state dict, for `take_over`; None if they do not tell the sizes.

        What it draws is drawn beside torch's generators, since the values will be replaced.
        """
        sizes = self.sizes_of_state(state)
        if sizes is None:
            return None
        devices = {held.device for _, held in _held(self) if not held.initialized}
        with torch.random.fork_rng(devices=[device for device in devices if device.type == "cuda"]):
            return self.built(sizes)

    def take_over(self, layer: Module) -> None:
        """Become a layer that `built` has made: with its values, in the parameters and buffers that are here.

        Raises ShapeError, with nothing changed, if one that has a value already, being tied, has another shape.
        """
        theirs = dict(_held(layer))
        ours = {name: held for name, held in _held(self) if name in theirs}
        for name, held in ours.items():
            if held.initialized and held.value.shape != theirs[name].value.shape:
                wanted, got = tuple(theirs[name].value.shape), tuple(held.value.shape)
                raise ShapeError(f"{type(self).__name__}: {name}, which is tied, must have shape {wanted}, got {got}")
        for name, held in ours.items():
            if not held.initialized:
                held.value = theirs[name].value
        vars(self).update({name: value for name, value in vars(layer).items() if name not in ours})
        self.__class__ = self.becomes  # type: ignore[assignment]


def _held(module: Module) -> Iterator[tuple[str, Any]]:
    return chain(tree.own(module, Parameter), tree.own(module, Buffer))
