"""Transformers: their layers, stacks of these, and both stacks together."""

from mytorch.nn.transformer.decoder import TransformerDecoder
from mytorch.nn.transformer.decoder_layer import TransformerDecoderLayer
from mytorch.nn.transformer.encoder import TransformerEncoder
from mytorch.nn.transformer.encoder_layer import TransformerEncoderLayer
from mytorch.nn.transformer.transformer import Transformer

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
