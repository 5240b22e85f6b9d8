"""Layers that put the same numbers elsewhere: other axes, another order, windows cut out and put together."""

from mytorch.nn.rearrangement.fold import Fold, Unfold
from mytorch.nn.rearrangement.permute import Permute
from mytorch.nn.rearrangement.reshape import Flatten, Reshape, Unflatten
from mytorch.nn.rearrangement.select import Select
from mytorch.nn.rearrangement.shuffle import ChannelShuffle, PixelShuffle, PixelUnshuffle

__all__ = [
    "ChannelShuffle",
    "Flatten",
    "Fold",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "Reshape",
    "Select",
    "Unflatten",
    "Unfold",
]
