"""A stack of encoder layers."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Directions, Module
from mytorch.nn._tangents import chain_backward_tangent, chain_tangent
from mytorch.nn.transformer._stack import Saved, Stack
from mytorch.nn.transformer.encoder_layer import TransformerEncoderLayer


class TransformerEncoder(Stack):
    """Pass a sequence through copies of an encoder layer, one after the other, and a norm if one is given.

    Forward:   y = norm(layer_n(... layer_2(layer_1(src))))
    Backward:  d_src = the backward passes of norm and layers in reverse order, each taking the d_src of the one after
    Shapes:    src, y: (length, batch, d_model), with batch_first (batch, length, d_model), or (length, d_model);
               mask: (length, length) or (batch * nhead, length, length);  src_key_padding_mask: (batch, length)
    Masks:     each layer gets them, as src_mask, src_key_padding_mask and is_causal
    Raises:    ArgumentError for a layer or norm that is no Module, or num_layers below 1;  ShapeError and DtypeError
               for what does not fit the layers;  StateError if a saved value is used twice;
               ArgumentError for layers that have no room in memory
    Source:    Vaswani et al. 2017, "Attention is all you need"

    The copies begin with the weights of the layer that is given; it is no part of the stack. torch's options
    for nested tensors and for looking at a mask are left out: they concern its speed, not what is computed.

    Example:
        >>> encoder = TransformerEncoder(TransformerEncoderLayer(4, nhead=2, dim_feedforward=8), num_layers=2)
        >>> y, saved = encoder.forward(torch.randn(3, 5, 4), is_causal=True)
        >>> encoder.backward(torch.randn(3, 5, 4), saved).shape
        torch.Size([3, 5, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"encoder_layer": lambda: TransformerEncoderLayer(4, 2, 6), "num_layers": 2},
        "inputs": [(3, 2, 4)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self._set_layers(encoder_layer, num_layers, norm)

    def arguments(self) -> dict[str, Any]:
        return self._described("encoder_layer")

    def forward(
        self,
        src: Tensor,
        *,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> tuple[Tensor, Saved]:
        masks = {"src_mask": mask, "src_key_padding_mask": src_key_padding_mask, "is_causal": is_causal}
        return self._forward(src, **masks)

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        self._require_own(saved, d_y)
        d_x = self._backward_of_norm(d_y, saved)
        for layer in reversed(self.layers):
            d_x = layer.backward(d_x, saved.steps.pop())
        return d_x if self.input_grad else None

    def tangent(self, t_src: Tensor | None, saved: Saved, along: Directions) -> tuple[Any, list[Any]]:
        return chain_tangent(self._chain, t_src, saved.steps, along)

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        of_src = chain_backward_tangent(self._chain, d_y, t_d_y, saved.steps, t_saved, along)
        return of_src if self.input_grad else (None, None)

    def __call__(
        self,
        src: Tensor,
        *,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        return self._call(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
