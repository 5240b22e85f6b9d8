"""A layer of a transformer's encoder, and of a GPT."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import Directions, require_flag, require_flags
from mytorch.nn.attention import MultiheadAttention
from mytorch.nn.dropout import Dropout
from mytorch.nn.linear import Linear
from mytorch.nn.normalization import LayerNorm
from mytorch.nn.transformer._activation import Activation, activation_layer
from mytorch.nn.transformer._sublayers import Saved, Sublayers


class TransformerEncoderLayer(Sublayers):
    """Let the positions of a sequence look at each other, then pass each through a small net of its own.

    Forward:   x = norm1(src + dropout1(self_attn(src)));  y = norm2(x + dropout2(feed_forward(x)))
               with norm_first: x = src + dropout1(self_attn(norm1(src)));  y = x + dropout2(feed_forward(norm2(x)))
               feed_forward(x) = linear2(dropout(activation(linear1(x))))
    Backward:  the same in reverse order, each layer by its own backward; where a sum was taken, the gradient goes both
               ways: d_x = d_sum + (the d_x of the sublayer for d_sum)
    Shapes:    src, y: (length, batch, d_model), with batch_first (batch, length, d_model), or (length, d_model);
               src_mask: (length, length) or (batch * nhead, length, length);  src_key_padding_mask: (batch, length)
    Masks:     as those of MultiheadAttention; with is_causal, of the layer or of one forward, each position looks at
               itself and what comes before it alone, as in a GPT
    Raises:    ShapeError and DtypeError for inputs or masks that do not fit;  ArgumentError for arguments that do not
    Source:    Vaswani et al. 2017, "Attention is all you need"; norm_first: Xiong et al. 2020, "On layer normalization
               in the transformer architecture"

    activation is "relu", "gelu", a function of torch.nn.functional or a layer. torch's fast path for evaluation is not
    an option here: it computes the same.

    Example:
        >>> layer = TransformerEncoderLayer(4, nhead=2, dim_feedforward=8, batch_first=True)
        >>> layer(torch.randn(5, 3, 4)).shape
        torch.Size([5, 3, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"d_model": 4, "nhead": 2, "dim_feedforward": 6},
        "inputs": [(3, 2, 4)],
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
        *,
        is_causal: bool = False,
    ) -> None:
        require_flags(self, batch_first=batch_first, norm_first=norm_first, bias=bias, is_causal=is_causal)
        self._set_sizes(d_model, nhead, dim_feedforward, dropout, layer_norm_eps)
        self.norm_first, self.is_causal = norm_first, is_causal
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **place)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **place)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **place)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = activation_layer(self, activation)

    def forward(
        self,
        src: Tensor,
        *,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> tuple[Tensor, Saved]:
        self._require_input(src, "src")
        require_flag(self, "is_causal", is_causal)
        x, by_attention = self._self_attention(
            src,
            attn_mask=src_mask,
            key_padding_mask=src_key_padding_mask,
            is_causal=is_causal or self.is_causal,
        )
        y, by_feed_forward = self._feed_forward(x, self.norm2, self.dropout2)
        return y, Saved(y.shape, [by_attention, by_feed_forward])

    def backward(self, d_y: Tensor, saved: Saved) -> Tensor | None:
        self._require_own(saved, d_y)
        d_x = self._backward_of_feed_forward(d_y, saved.sublayers.pop(), self.norm2, self.dropout2)
        d_src = self._backward_of_self_attention(d_x, saved.sublayers.pop())
        return d_src if self.input_grad else None

    def tangent(self, t_src: Tensor | None, saved: Saved, along: Directions) -> tuple[Tensor, list[Any]]:
        by_attention, by_feed_forward = saved.sublayers
        t_x, t_by_attention = self._tangent_of_self_attention(t_src, by_attention, along)
        t_y, t_by_net = self._tangent_of_feed_forward(t_x, by_feed_forward, self.norm2, self.dropout2, along)
        return t_y, [t_by_attention, t_by_net]

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Tensor | None, Tensor | None]:
        (by_attention, by_net), (t_by_attention, t_by_net) = saved.sublayers, t_saved
        of_x = self._backward_tangent_of_feed_forward((d_y, t_d_y), by_net, t_by_net, self.norm2, self.dropout2, along)
        of_src = self._backward_tangent_of_self_attention(of_x, by_attention, t_by_attention, along)
        return of_src if self.input_grad else (None, None)
