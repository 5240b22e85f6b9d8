"""For each class that torch.nn has, too, what hypothesis draws: arguments and inputs; a module for each family."""

from drawn_cases import (
    activation,
    attention,
    container,
    convolution,
    distance,
    dropout,
    embedding,
    linear,
    loss,
    normalization,
    padding,
    pooling,
    rearrangement,
    recurrent,
    resampling,
    transformer,
)
from drawn_cases.case import STRATEGIES

FAMILIES = (
    *(activation, attention, container, convolution, distance, dropout, embedding, linear, loss, normalization),
    *(padding, pooling, rearrangement, recurrent, resampling, transformer),
)
"""The modules whose strategies STRATEGIES holds."""

__all__ = ["FAMILIES", "STRATEGIES"]
