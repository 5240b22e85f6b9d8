"""Linear layers, and the layer that changes nothing."""

from mytorch.nn.linear.bilinear import Bilinear
from mytorch.nn.linear.identity import Identity
from mytorch.nn.linear.lazy_linear import LazyLinear
from mytorch.nn.linear.linear import Linear

__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear"]
