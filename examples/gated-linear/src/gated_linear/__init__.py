"""A gated linear layer for mytorch."""

from gated_linear.gated_linear import GatedLinear

__all__ = ["GatedLinear"]
