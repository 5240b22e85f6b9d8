"""Steps whose layers compute in half precision, on copies of float32 values."""

from mytorch.train.mixed_precision.mixed_precision import PRECISIONS, MixedPrecision, make_precision

__all__ = ["PRECISIONS", "MixedPrecision", "make_precision"]
