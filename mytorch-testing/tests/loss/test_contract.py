"""Losses that take what does not fit, beside right twins."""

import pytest
import torch

from mytorch.core import Module, require_same_shape
from mytorch.testing import CheckError, check_loss

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Squared(Module):
    def forward(self, prediction, target):
        require_same_shape(self, prediction, target)
        return (prediction - target).square().sum(), prediction - target

    def backward(self, d_value, difference):
        return 2 * d_value * difference


class Broadcasts(Squared):
    def forward(self, prediction, target):
        return (prediction - target).square().sum(), prediction - target


def test_a_loss_that_broadcasts_its_target_fails():
    with pytest.raises(CheckError, match=r"target of \(4, 1\) must not be broadcast to the prediction, \(4, 3\)"):
        check_loss(Broadcasts, X, torch.randn(4, 3), checks=("no_broadcast",))
    assert check_loss(Squared, X, torch.randn(4, 3), checks=("no_broadcast",)).passed == ["train/no_broadcast"]
