"""A layer of a transformer's decoder."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Directions, require_flags
from mytorch.nn.attention import MultiheadAttention
from mytorch.nn.dropout import Dropout
from mytorch.nn.linear import Linear
from mytorch.nn.normalization import LayerNorm
from mytorch.nn.transformer._activation import Activation, activation_layer
from mytorch.nn.transformer._sublayers import Both, Saved, Sublayers, of_both


class TransformerDecoderLayer(Sublayers):
    """Let the positions of a sequence look at each other, then at another sequence, the memory of what was encoded.

    Forward:   x = norm1(tgt + dropout1(self_attn(tgt)));  z = norm2(x + dropout2(multihead_attn(x, memory)))
               y = norm3(z + dropout3(feed_forward(z)))
               with norm_first: x = tgt + dropout1(self_attn(norm1(tgt)));  z = x + dropout2(multihead_attn(norm2(x),
               memory));  y = z + dropout3(feed_forward(norm3(z)))
               feed_forward(x) = linear2(dropout(activation(linear1(x))))
    Backward:  the same in reverse order, each layer by its own backward; where a sum was taken, the gradient goes both
               ways: d_x = d_sum + (the d_x of the sublayer for d_sum);  d_memory is that of multihead_attn
    Shapes:    tgt, y: (length, batch, d_model);  memory: (length of it, batch, d_model); with batch_first the batch
               comes first; all without a batch axis, too;  tgt_mask: (length, length), memory_mask: (length, length
               of memory), or with batch * nhead in front;  tgt_key_padding_mask: (batch, length);
               memory_key_padding_mask: (batch, length of memory)
    Masks:     as those of MultiheadAttention; with tgt_is_causal each position looks at itself and what comes before
               it alone
    Raises:    ShapeError and DtypeError for inputs or masks that do not fit;  ArgumentError for arguments that do not
    Source:    Vaswani et al. 2017, "Attention is all you need"; norm_first: Xiong et al. 2020, "On layer normalization
               in the transformer architecture"

    activation is "relu", "gelu", a function of torch.nn.functional or a layer.

    Example:
        >>> layer = TransformerDecoderLayer(4, nhead=2, dim_feedforward=8, batch_first=True)
        >>> layer(torch.randn(5, 3, 4), torch.randn(5, 7, 4), tgt_is_causal=True).shape
        torch.Size([5, 3, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"d_model": 4, "nhead": 2, "dim_feedforward": 6},
        "inputs": [(3, 2, 4), (3, 2, 4)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, batch_first=batch_first, norm_first=norm_first, bias=bias)
        self._set_sizes(d_model, nhead, dim_feedforward, dropout, layer_norm_eps)
        self.norm_first = norm_first
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)
        self.activation = activation_layer(self, activation)

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
        self._require_input(tgt, "tgt")
        self._require_input(memory, "memory")
        require_flags(self, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)
        x, by_attention = self._self_attention(
            tgt, attn_mask=tgt_mask, key_padding_mask=tgt_key_padding_mask, is_causal=tgt_is_causal
        )
        z, by_memory = self._attention_to_memory(
            x, memory, attn_mask=memory_mask, key_padding_mask=memory_key_padding_mask, is_causal=memory_is_causal
        )
        y, by_feed_forward = self._feed_forward(z, self.norm3, self.dropout3)
        return y, Saved(y.shape, [by_attention, by_memory, by_feed_forward])

    def backward(self, d_y: Tensor, saved: Saved) -> tuple[Tensor | None, Tensor] | None:
        self._require_own(saved, d_y)
        d_z = self._backward_of_feed_forward(d_y, saved.sublayers.pop(), self.norm3, self.dropout3)
        d_x, d_memory = self._backward_of_attention_to_memory(d_z, saved.sublayers.pop())
        d_tgt = self._backward_of_self_attention(d_x, saved.sublayers.pop())
        return (d_tgt, d_memory) if self.input_grad else None

    def tangent(self, t_input: Any, saved: Saved, along: Directions) -> tuple[Tensor, list[Any]]:
        t_tgt, t_memory = (None, None) if t_input is None else t_input
        by_attention, by_memory, by_net = saved.sublayers
        t_x, t_by_attention = self._tangent_of_self_attention(t_tgt, by_attention, along)
        t_z, t_by_memory = self._tangent_of_attention_to_memory(t_x, t_memory, by_memory, along)
        t_y, t_by_net = self._tangent_of_feed_forward(t_z, by_net, self.norm3, self.dropout3, along)
        return t_y, [t_by_attention, t_by_memory, t_by_net]

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        (by_attention, by_memory, by_net), (t_by_attention, t_by_memory, t_by_net) = saved.sublayers, t_saved
        of_z = self._backward_tangent_of_feed_forward((d_y, t_d_y), by_net, t_by_net, self.norm3, self.dropout3, along)
        of_x, of_memory = self._backward_tangent_of_attention_to_memory(of_z, by_memory, t_by_memory, along)
        of_tgt = self._backward_tangent_of_self_attention(of_x, by_attention, t_by_attention, along)
        return of_both(of_tgt, of_memory) if self.input_grad else (None, None)

    def _attention_to_memory(self, x: Tensor, memory: Tensor, **masks: Any) -> tuple[Tensor, Any]:
        n, by_norm = self._into(self.norm2, x)
        (a, _), by_attention = self.multihead_attn.forward(n, memory, need_weights=False, **masks)
        z, by_sum = self._out_of_attention(self.norm2, self.dropout2, x, a)
        return z, [by_norm, by_attention, by_sum]

    def _backward_of_attention_to_memory(self, d_z: Tensor, saved: Any) -> tuple[Any, Tensor]:
        d_x, d_a = self._back_into(self.norm2, self.dropout2, d_z, saved.pop())
        d_inputs: Any = self.multihead_attn.backward((d_a, None), saved.pop())
        d_n, d_memory = d_inputs
        return self._back_out_of(self.norm2, d_x, d_n, saved.pop()), d_memory

    def _tangent_of_attention_to_memory(
        self, t_x: Any, t_memory: Any, saved: Any, along: Directions
    ) -> tuple[Any, Any]:
        by_norm, by_attention, by_sum = saved
        t_n, t_by_norm = self._tangent_into(self.norm2, t_x, by_norm, along)
        (t_a, _), t_by_attention = self.multihead_attn.tangent((t_n, t_memory), by_attention, along)
        t_z, t_by_sum = self._tangent_of_sum(self.norm2, self.dropout2, t_x, t_a, by_sum, along)
        return t_z, (t_by_norm, t_by_attention, t_by_sum)

    def _backward_tangent_of_attention_to_memory(
        self, of_z: Both, saved: Any, t_saved: Any, along: Directions
    ) -> tuple[Both, Both]:
        (by_norm, by_attention, by_sum), (t_by_norm, t_by_attention, t_by_sum) = saved, t_saved
        of_x, (d_a, t_d_a) = self._backward_tangent_of_sum(self.norm2, self.dropout2, of_z, by_sum, t_by_sum, along)
        (d_n, d_memory), (t_d_n, t_d_memory) = self.multihead_attn.backward_tangent(
            (d_a, None), (t_d_a, None), by_attention, t_by_attention, along
        )
        of_x = self._backward_tangent_into(self.norm2, of_x, (d_n, t_d_n), by_norm, t_by_norm, along)
        return of_x, (d_memory, t_d_memory)
