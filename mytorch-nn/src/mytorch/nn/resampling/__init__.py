"""Layers that compute an image of another size from the values around each place."""

from mytorch.nn.resampling.upsample import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]
