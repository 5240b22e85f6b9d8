"""Layers one after the other, for sequences of different lengths."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self, TypeGuard

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    ShapeError,
    StateError,
    require_input,
    require_pair,
    require_saved,
    require_upstream,
)
from mytorch.nn.container._sequence import ModuleSequence, require_module
from mytorch.nn.ragged._lengths import padding_of, require_lengths
from mytorch.nn.recurrent._layer import Recurrent

PADDINGS = ("src_key_padding_mask", "key_padding_mask")
"""What layers with attention call the mask of the padding."""


class Saved(NamedTuple):
    """What each layer saved, emptied from the end by a backward, and how long the sequences are."""

    steps: list[Any]
    lengths: Tensor | None


class Padded(ModuleSequence):
    """Pass padded sequences through layers, one after the other, and tell those that ask how long each sequence is.

    Forward:   y = layer_n(... layer_2(layer_1(x))), where a layer whose forward takes `lengths` gets them; one that
               takes `src_key_padding_mask` or `key_padding_mask`, such as TransformerEncoder, the mask of the padding;
               and RNN, LSTM and GRU read the steps of each sequence alone, as a PackedSequence
    Backward:  d_x = the layers' backward passes in reverse order, each taking the d_x of the one after
    Shapes:    x: (batch, steps, ...), padded behind the last step of each sequence;  lengths: (batch,), int64, or
               None if no step is padding;  y: what the last layer gives
    Raises:    ArgumentError if a layer is not a Module or has batch_first=False, or for a length that is not from 1 to
               the number of steps;  ShapeError for other shapes;  DtypeError unless lengths are int64;
               ContractError if a layer's forward returns no pair;  StateError if a saved value is used twice
    Source:    torch.nn.utils.rnn.pack_padded_sequence, which it uses for recurrent layers; masks of padding:
               torch.nn.TransformerEncoder

    So numbers in the padding change neither y nor a gradient, if every layer treats each step alone, or asks for the
    lengths; Conv1d and BatchNorm1d do neither, and what is in a Sequential or another container is not asked, unless
    it is a Padded. `LastStep` and `MeanStep` make one vector of a sequence. It is a list of its layers: len,
    iteration, indices and slices, append, insert, extend, pop, del.

    Example:
        >>> net = Padded(LSTM(2, 4, batch_first=True), Take(0), LastStep(), Linear(4, 3))
        >>> x, lengths = torch.randn(2, 5, 2), torch.tensor([5, 3])
        >>> net(x, lengths=lengths).shape
        torch.Size([2, 3])
        >>> torch.allclose(net(x, lengths=lengths)[1], net(x[1:, :3])[0], atol=1e-6)
        True
    """

    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 4, 3)], "tags": ("fixed_dimensions",)}

    def __init__(self, *layers: Module) -> None:
        self.layers = [_require_batch_first(self, layer) for layer in layers]

    def _change(self, key: int | slice, new: list[Module]) -> None:
        super()._change(key, [_require_batch_first(self, layer) for layer in new])

    def forward(self, x: Tensor, *, lengths: Tensor | None = None) -> tuple[Any, Saved]:
        require_lengths(self, x, lengths)
        padding = None if lengths is None else padding_of(x, lengths)
        steps, y = [], x
        for layer in self.layers:
            pair = _forward(layer, y, lengths, padding)
            require_pair(layer, pair)
            y, saved = pair
            steps.append(saved)
        return y, Saved(steps, lengths)

    def backward(self, d_y: Any, saved: Saved) -> Any:
        require_saved(self, saved, list, (Tensor, type(None)))
        steps, lengths = saved
        if len(steps) != len(self.layers):
            raise StateError(
                f"Padded: saved must hold one value for each of {len(self.layers)} layers, got {len(steps)}; "
                "a saved value is good for one backward: call forward again"
            )
        for layer in reversed(self.layers):
            d_y = _backward(layer, d_y, steps.pop(), lengths)
        return d_y if self.input_grad else None

    def tangent(self, t_x: Any, saved: Saved, along: Directions) -> tuple[Any, list[Any]]:
        t_steps = []
        for layer, step in zip(self.layers, saved.steps, strict=True):
            t_x, t_step = _tangent(layer, t_x, step, saved.lengths, along)
            t_steps.append(t_step)
        return t_x, t_steps

    def backward_tangent(
        self, d_y: Any, t_d_y: Any, saved: Saved, t_steps: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        of_y = d_y, t_d_y
        for layer, step, t_step in reversed([*zip(self.layers, saved.steps, t_steps, strict=True)]):
            of_y = _backward_tangent(layer, of_y, step, t_step, saved.lengths, along)
        return of_y if self.input_grad else (None, None)

    def first_child(self) -> Module | None:
        return self.layers[0] if self.layers else None

    def arguments(self) -> dict[str, Any]:
        return {"layers": list(self.layers)}

    def _of(self, layers: list[Module]) -> Self:
        return type(self)(*layers)


def _require_batch_first(owner: Module, layer: Module) -> Module:
    """Raise ArgumentError for what is no module, and for a layer that takes the axis of the batch for that of time."""
    for module in require_module(owner, layer).modules():
        if getattr(module, "batch_first", True) is not True:
            raise ArgumentError(
                f"{type(owner).__name__}: layers must have the batch as their first axis, got "
                f"{type(module).__name__}(batch_first=False); write batch_first=True"
            )
    return layer


@cache
def _asks_for(forward: Callable[..., Any]) -> str | None:
    """The keyword by which a forward takes the lengths, or the mask of the padding; None if it does not ask."""
    known = inspect.signature(forward).parameters
    return next((name for name in ("lengths", *PADDINGS) if name in known), None)


def _packs(layer: Module, lengths: Tensor) -> TypeGuard[Recurrent]:
    """Whether a layer reads the steps of each sequence alone; torch cannot pack a batch without sequences."""
    return isinstance(layer, Recurrent) and len(lengths) > 0


def _forward(layer: Module, x: Any, lengths: Tensor | None, padding: Tensor | None) -> Any:
    """The output of a layer and what it saved."""
    name = None if lengths is None else _asks_for(type(layer).forward)
    if name is not None:
        return layer.forward(x, **{name: lengths if name == "lengths" else padding})
    if lengths is None or not _packs(layer, lengths):
        return layer.forward(x)
    require_input(layer, x)
    if x.dim() != 3:
        raise ShapeError(f"{type(layer).__name__}: x must be (batch, steps, features), got {tuple(x.shape)}")
    require_lengths(layer, x, lengths)
    (y, last), saved = layer.forward(_packed(x, lengths))
    return (_unpacked(y, x.shape[1]), last), (saved, x.shape[1])


def _backward(layer: Module, d_y: Any, saved: Any, lengths: Tensor | None) -> Any:
    """The gradient of a layer's input."""
    if lengths is None or not _packs(layer, lengths):
        return layer.backward(d_y, saved)
    saved_by_layer, steps = saved
    d_x = layer.backward(_packed_upstream(layer, d_y, lengths, steps), saved_by_layer)
    return None if d_x is None else _unpacked(d_x, steps)


def _tangent(layer: Module, t_x: Any, saved: Any, lengths: Tensor | None, along: Directions) -> tuple[Any, Any]:
    """How the output of a layer changes, and what its `backward_tangent` needs."""
    if lengths is None or not _packs(layer, lengths):
        return layer.tangent(t_x, saved, along)
    saved_by_layer, steps = saved
    t_given = None if t_x is None else _packed(t_x, lengths)
    (t_y, t_last), t_saved = layer.tangent(t_given, saved_by_layer, along)
    return (_unpacked(t_y, steps), t_last), t_saved


def _backward_tangent(
    layer: Module, of_y: tuple[Any, Any], saved: Any, t_saved: Any, lengths: Tensor | None, along: Directions
) -> tuple[Any, Any]:
    """The gradient of a layer's input, and its change."""
    if lengths is None or not _packs(layer, lengths):
        return layer.backward_tangent(*of_y, saved, t_saved, along)
    saved_by_layer, steps = saved
    d_y, t_d_y = (_packed_upstream(layer, each, lengths, steps) for each in of_y)
    d_x, t_d_x = layer.backward_tangent(d_y, t_d_y, saved_by_layer, t_saved, along)
    return (None, None) if d_x is None else (_unpacked(d_x, steps), _unpacked(t_d_x, steps))


def _packed_upstream(layer: Recurrent, d_y: Any, lengths: Tensor, steps: int) -> Any:
    """The gradients of what a recurrent layer gives, the first of which is that of its steps; None where unused."""
    if not isinstance(d_y, tuple) or len(d_y) != 2 or d_y[0] is None:
        return d_y
    require_upstream(layer, d_y[0], (len(lengths), steps, layer._directions * layer._size), like=lengths)
    return _packed(d_y[0], lengths), d_y[1]


def _packed(x: Tensor, lengths: Tensor) -> PackedSequence:
    """The steps of each sequence without the padding."""
    return pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)


def _unpacked(packed: PackedSequence, steps: int) -> Tensor:
    """Sequences padded with 0."""
    padded: Tensor = pad_packed_sequence(packed, batch_first=True, total_length=steps)[0]
    return padded
