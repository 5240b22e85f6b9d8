"""A stack of decoder layers."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Directions, Module
from mytorch.nn.container._branches import added
from mytorch.nn.transformer._stack import Saved, Stack
from mytorch.nn.transformer._sublayers import Both, of_both
from mytorch.nn.transformer.decoder_layer import TransformerDecoderLayer


class TransformerDecoder(Stack):
    """Pass a sequence through copies of a decoder layer, all looking at the memory, and a norm if one is given.

    Forward:   y = norm(layer_n(... layer_2(layer_1(tgt, memory), memory), memory))
    Backward:  d_tgt = the backward passes of norm and layers in reverse order, each taking the d_tgt of the one after;
               d_memory = sum of the d_memory of all layers
    Shapes:    tgt, y: (length, batch, d_model);  memory: (length of it, batch, d_model); with batch_first the batch
               comes first; all without a batch axis, too;  masks: those of TransformerDecoderLayer
    Masks:     each layer gets them
    Raises:    ArgumentError for a layer or norm that is no Module, or num_layers below 1;  ShapeError and DtypeError
               for what does not fit the layers;  StateError if a saved value is used twice;
               ArgumentError for layers that have no room in memory
    Source:    Vaswani et al. 2017, "Attention is all you need"

    The copies begin with the weights of the layer that is given; it is no part of the stack.

    Example:
        >>> decoder = TransformerDecoder(TransformerDecoderLayer(4, nhead=2, dim_feedforward=8), num_layers=2)
        >>> y, saved = decoder.forward(torch.randn(3, 5, 4), torch.randn(7, 5, 4), tgt_is_causal=True)
        >>> d_tgt, d_memory = decoder.backward(torch.randn(3, 5, 4), saved)
        >>> d_memory.shape
        torch.Size([7, 5, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"decoder_layer": lambda: TransformerDecoderLayer(4, 2, 6), "num_layers": 2},
        "inputs": [(3, 2, 4), (3, 2, 4)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self._set_layers(decoder_layer, num_layers, norm)

    def arguments(self) -> dict[str, Any]:
        return self._described("decoder_layer")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        *,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> tuple[Tensor, Saved]:
        return self._forward(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    def backward(self, d_y: Tensor, saved: Saved) -> tuple[Tensor, Tensor] | None:
        self._require_own(saved, d_y)
        d_x = self._backward_of_norm(d_y, saved)
        d_memory: Any = None
        for layer in reversed(self.layers):
            d_inputs = layer.backward(d_x, saved.steps.pop())
            if d_inputs is None:  # of the first layer, whose gradients nobody wants
                return None
            d_x, more = d_inputs
            d_memory = more if d_memory is None else d_memory + more
        return (d_x, d_memory) if self.input_grad else None

    def tangent(self, t_input: Any, saved: Saved, along: Directions) -> tuple[Any, list[Any]]:
        t_x, t_memory = (None, None) if t_input is None else t_input
        t_steps = []
        for layer, step in zip(self._chain, saved.steps, strict=True):
            t_given = t_x if layer is self.norm else (t_x, t_memory)
            t_x, t_step = layer.tangent(t_given, step, along)
            t_steps.append(t_step)
        return t_x, t_steps

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        of_x: Both = (d_y, t_d_y)
        of_memory: Any = None
        for layer, step, t_step in reversed([*zip(self._chain, saved.steps, t_saved, strict=True)]):
            found = layer.backward_tangent(*of_x, step, t_step, along)
            if layer is self.norm:
                of_x = found
            elif found[0] is None:  # of the first layer, whose gradients nobody wants
                return None, None
            else:
                of_x, of_more = of_both(*found)
                of_memory = added(of_memory, of_more)
        return of_both(of_x, of_memory) if self.input_grad else (None, None)

    def __call__(self, tgt: Tensor, memory: Tensor, **masks: Any) -> Tensor:
        return self._call(tgt, memory, **masks)
