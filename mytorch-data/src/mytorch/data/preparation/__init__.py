"""What a data set's rows become before a model sees them: inputs and targets in deviations, and classes as columns."""

from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.data.preparation.moments import INPUTS, TARGETS, Moments
from mytorch.data.preparation.standardize import Standardize, Standardized
from mytorch.data.preparation.standardized_targets import StandardizedTargets, learn_targets

__all__ = [
    "INPUTS",
    "TARGETS",
    "EncodedTargets",
    "Moments",
    "Standardize",
    "Standardized",
    "StandardizedTargets",
    "learn_targets",
]
