"""Attention, and encodings of positions, which it does not know by itself."""

from mytorch.nn.attention.multihead_attention import MultiheadAttention

__all__ = ["MultiheadAttention"]
