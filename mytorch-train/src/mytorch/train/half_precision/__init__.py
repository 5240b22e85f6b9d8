"""Steps whose layers compute in half precision, on copies of float32 values or on values that are stored in it."""

from mytorch.train.half_precision.half_precision import PRECISIONS, HalfPrecision, make_precision

__all__ = ["PRECISIONS", "HalfPrecision", "make_precision"]
