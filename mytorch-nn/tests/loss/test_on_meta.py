"""Losses whose result depends on values say so on the meta device, which has none; all others compute shapes there."""

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.nn import AdaptiveLogSoftmaxWithLoss, CTCLoss


def test_lengths_are_values():
    log_probs, targets = torch.zeros(4, 2, 3, device="meta"), torch.ones(2, 2, dtype=torch.int64, device="meta")
    with pytest.raises(ArgumentError, match="CTCLoss: log_probs must hold numbers, got a tensor on the meta device"):
        CTCLoss().forward(log_probs, targets, (4, 4), (2, 2))


def test_clusters_are_values():
    loss = AdaptiveLogSoftmaxWithLoss(4, 10, [3]).to("meta")
    x, target = torch.zeros(5, 4, device="meta"), torch.zeros(5, dtype=torch.int64, device="meta")
    with pytest.raises(ArgumentError, match="AdaptiveLogSoftmaxWithLoss: target_ must hold numbers"):
        loss.forward(x, target)
