"""Sequences of different lengths in one batch: padded to the longest, with how long each of them is."""

from mytorch.nn.ragged.padded import Padded
from mytorch.nn.ragged.steps import LastStep, MeanStep

__all__ = ["LastStep", "MeanStep", "Padded"]
