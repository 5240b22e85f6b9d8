"""Encoder and decoder together."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import (
    Directions,
    Module,
    ShapeError,
    require_dimensions,
    require_flags,
    require_last_axis,
    require_pair,
    require_range,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn.attention._masks import causal_mask
from mytorch.nn.container._sequence import require_module
from mytorch.nn.normalization import LayerNorm
from mytorch.nn.transformer._activation import Activation, described
from mytorch.nn.transformer._stack import Stack
from mytorch.nn.transformer._sublayers import Sublayers
from mytorch.nn.transformer.decoder import TransformerDecoder
from mytorch.nn.transformer.decoder_layer import TransformerDecoderLayer
from mytorch.nn.transformer.encoder import TransformerEncoder
from mytorch.nn.transformer.encoder_layer import TransformerEncoderLayer

OF_ENCODER = {
    "src_mask": "mask",
    "src_key_padding_mask": "src_key_padding_mask",
    "src_is_causal": "is_causal",
}
"""What the encoder calls its masks."""


class Saved(NamedTuple):
    """What a backward needs: the shape of the output, and what each half saved."""

    shape: torch.Size
    by_encoder: Any
    by_decoder: Any


class Transformer(Module):
    """Encode a sequence, then decode another that looks at what came of the first.

    Forward:   memory = encoder(src);  y = decoder(tgt, memory)
    Backward:  (d_tgt, d_memory) = that of the decoder for d_y;  d_src = that of the encoder for d_memory
    Shapes:    src: (length of it, batch, d_model);  tgt, y: (length, batch, d_model); with batch_first the batch comes
               first; all without a batch axis, too;  masks: those of TransformerEncoder and TransformerDecoder
    Masks:     src_mask, src_key_padding_mask and src_is_causal are the encoder's, the others the decoder's
    Raises:    ShapeError and DtypeError for inputs or masks that do not fit;  ArgumentError for arguments that do not
    Initial:   matrices uniform within sqrt(6 / (n_in + n_out)), the rest as each layer draws it, as torch does
    Source:    Vaswani et al. 2017, "Attention is all you need"

    custom_encoder and custom_decoder stand for the stacks that are built from the sizes otherwise.

    Example:
        >>> model = Transformer(4, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=8)
        >>> model(torch.randn(7, 5, 4), torch.randn(3, 5, 4), tgt_is_causal=True).shape
        torch.Size([3, 5, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {
            "d_model": 4,
            "nhead": 2,
            "num_encoder_layers": 1,
            "num_decoder_layers": 1,
            "dim_feedforward": 6,
        },
        "inputs": [(3, 2, 4), (3, 2, 4)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, batch_first=batch_first, norm_first=norm_first, bias=bias)
        require_whole(self, "d_model", d_model, 1)
        require_range(self, "dropout", dropout, 0, 1)
        require_range(self, "layer_norm_eps", layer_norm_eps, 0)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        sizes = d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        place: dict[str, Any] = {"device": device, "dtype": dtype}

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **place)

        self.encoder: Module = (
            TransformerEncoder(TransformerEncoderLayer(*sizes, **place), num_encoder_layers, norm())
            if custom_encoder is None
            else require_module(self, custom_encoder)
        )
        self.decoder: Module = (
            TransformerDecoder(TransformerDecoderLayer(*sizes, **place), num_decoder_layers, norm())
            if custom_decoder is None
            else require_module(self, custom_decoder)
        )
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw every matrix anew."""
        for parameter in self.param():
            if parameter.value.dim() > 1:
                init.xavier_uniform_(parameter.value, generator=generator)

    @staticmethod
    def generate_square_subsequent_mask(
        sz: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """The mask by which each position looks at itself and what comes before it: 0 there, else -inf."""
        return causal_mask(sz, sz, device, dtype)

    def arguments(self) -> dict[str, Any]:
        given = self._kept_arguments()
        for name, half in (("custom_encoder", self.encoder), ("custom_decoder", self.decoder)):
            if given[name] is not None:
                given[name] = half
            elif isinstance(half, Stack) and isinstance(half.layers[0], Sublayers):
                given["activation"] = described(half.layers[0].activation)
        return given

    def first_child(self) -> Module:
        return self.encoder

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        *,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> tuple[Tensor, Saved]:
        self._require_inputs(src, tgt)
        require_flags(
            self, src_is_causal=src_is_causal, tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal
        )
        memory, by_encoder = self._pair(
            self.encoder,
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        y, by_decoder = self._pair(
            self.decoder,
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return y, Saved(y.shape, by_encoder, by_decoder)

    def backward(self, d_y: Tensor, saved: Saved) -> tuple[Tensor, Tensor] | None:
        require_saved(self, saved, Saved)
        require_upstream(self, d_y, saved.shape)
        d_tgt, d_memory = self.decoder.backward(d_y, saved.by_decoder)
        d_src = self.encoder.backward(d_memory, saved.by_encoder)
        return (d_src, d_tgt) if self.input_grad else None

    def tangent(self, t_input: Any, saved: Saved, along: Directions) -> tuple[Any, tuple[Any, Any]]:
        t_src, t_tgt = (None, None) if t_input is None else t_input
        t_memory, t_by_encoder = self.encoder.tangent(t_src, saved.by_encoder, along)
        t_y, t_by_decoder = self.decoder.tangent((t_tgt, t_memory), saved.by_decoder, along)
        return t_y, (t_by_encoder, t_by_decoder)

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: tuple[Any, Any], along: Directions
    ) -> tuple[Any, Any]:
        (d_tgt, d_memory), (t_d_tgt, t_d_memory) = self.decoder.backward_tangent(
            d_y, t_d_y, saved.by_decoder, t_saved[1], along
        )
        d_src, t_d_src = self.encoder.backward_tangent(d_memory, t_d_memory, saved.by_encoder, t_saved[0], along)
        return ((d_src, d_tgt), (t_d_src, t_d_tgt)) if self.input_grad else (None, None)

    def __call__(self, src: Tensor, tgt: Tensor, **masks: Any) -> Tensor:
        self._require_inputs(src, tgt)
        of_encoder = {OF_ENCODER[name]: mask for name, mask in masks.items() if name in OF_ENCODER}
        of_decoder = {name: mask for name, mask in masks.items() if name not in OF_ENCODER}
        y: Tensor = self.decoder(tgt, self.encoder(src, **of_encoder), **of_decoder)
        return y

    def _pair(self, half: Module, *inputs: Tensor, **masks: Any) -> tuple[Tensor, Any]:
        pair = half.forward(*inputs, **masks)
        require_pair(half, pair)
        return pair

    def _require_inputs(self, src: Tensor, tgt: Tensor) -> None:
        for name, x in (("src", src), ("tgt", tgt)):
            require_dimensions(self, x, 2, 3, name=name)
            require_last_axis(self, x, self.d_model, name)
        axis = 0 if self.batch_first else 1
        if src.dim() != tgt.dim() or (src.dim() == 3 and src.shape[axis] != tgt.shape[axis]):
            raise ShapeError(
                f"Transformer: tgt must have the batch of src, {tuple(src.shape)} with the batch as axis {axis}, got "
                f"{tuple(tgt.shape)}"
            )
