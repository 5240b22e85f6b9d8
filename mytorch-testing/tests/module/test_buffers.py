"""A layer that reads a buffer which the same forward changes is told so; a right twin passes."""

import pytest
import torch

from mytorch.core import Buffer, Module, require_last_axis
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Centre(Module):
    """y = x - mean, where mean is the average of what came before; then it follows this batch."""

    def __init__(self):
        self.mean = Buffer(torch.zeros(3))

    def follow(self, x):
        self.mean.value = 0.9 * self.mean.value + 0.1 * x.reshape(-1, 3).mean(0)

    def forward(self, x):
        require_last_axis(self, x, 3)
        before = self.mean.value
        if self.training:
            self.follow(x)
        return x - before, None

    def backward(self, d_y, saved):
        return d_y


class FollowsFirst(Centre):
    def forward(self, x):
        require_last_axis(self, x, 3)
        if self.training:
            self.follow(x.detach())
        return x - self.mean.value, None


class ReadsAtBackward(Centre):
    """Scaled by a buffer that the next forward changes before this one is answered."""

    def forward(self, x):
        before = 1 + self.mean.value
        self.follow(x)
        return x * before, None

    def backward(self, d_y, saved):
        return d_y * (1 + self.mean.value)


class WrongForAnotherReason(Centre):
    """Changes a buffer, and reads none."""

    def forward(self, x):
        self.follow(x)
        return 2 * x, None


TOLD = "; forward changes the buffer mean and its output depends on it: if it reads the new value, the derivative"


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (FollowsFirst, "finite_differences"),
        (FollowsFirst, "full_jacobian"),
        (ReadsAtBackward, "finite_differences"),
        (ReadsAtBackward, "two_forwards"),
    ],
)
def test_a_layer_that_reads_what_it_changed_is_told_so(wrong, check):
    with pytest.raises(CheckError, match=f"{wrong.__name__}.*{check}: gradient of x .*must .*{TOLD}"):
        check_layer(wrong, X, checks=(check,), modes=("train",))
    assert check_layer(Centre, X, checks=(check,), modes=("train",)).passed == [f"train/{check}"]


def test_a_layer_that_only_writes_its_buffer_is_not():
    with pytest.raises(CheckError) as caught:
        check_layer(WrongForAnotherReason, X, checks=("finite_differences",), modes=("train",))
    assert "buffer" not in str(caught.value)
