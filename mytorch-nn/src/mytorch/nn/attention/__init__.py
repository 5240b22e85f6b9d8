"""Attention, and encodings of positions, which it does not know by itself."""

from mytorch.nn.attention.multihead_attention import MultiheadAttention
from mytorch.nn.attention.positions import RotaryPositionalEncoding, SinusoidalPositionalEncoding

__all__ = ["MultiheadAttention", "RotaryPositionalEncoding", "SinusoidalPositionalEncoding"]
