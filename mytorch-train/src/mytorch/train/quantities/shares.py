"""Rows in the mean over all of them, where each batch has a mean of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mytorch.core import Module
from mytorch.train.mean_loss import Weight, sums


def factors_of_rows(loss: Module, counts: Sequence[int], weights: Sequence[Weight]) -> Tensor:
    """What makes the gradients of rows, of their shares in the means of batches, those of their shares in one mean.

    counts, weights: of each batch, the number of its rows, and the weight of its loss. The result, (rows,) in float64,
    is 1 for every row unless the loss gives rows different weights.
    """
    rows = torch.tensor(counts)
    if sums(loss):
        return torch.ones(int(rows.sum()), dtype=torch.float64)
    weight = torch.tensor([float(each) for each in weights], dtype=torch.float64)
    factors = weight / rows / (weight.sum() / rows.sum())
    return factors.nan_to_num(0.0).repeat_interleave(rows)  # nothing counts if all weights are 0
