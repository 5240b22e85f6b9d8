"""Tangents that are stated wrongly, each beside the right twin."""

import pytest
import torch

from mytorch.core import Module, Parameter, require_last_axis, require_upstream
from mytorch.testing import CheckError, check_layer


class Gain(Module):
    """y = gain * x^2"""

    def __init__(self):
        self.gain = Parameter(torch.rand(3) + 0.5)

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x * x, [x]

    def backward(self, d_y, saved):
        (x,) = saved
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x * x).reshape(-1, 3).sum(0))
        return 2 * self.gain.value * x * d_y

    def tangent(self, t_x, saved, along):
        (x,) = saved
        t_y = along[self.gain] * x * x
        return (t_y if t_x is None else t_y + 2 * self.gain.value * x * t_x), t_x

    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        (x,), gain = saved, self.gain.value
        t_x = torch.zeros_like(x) if t_x is None else t_x
        self.gain.accumulate((t_d_y * x * x + 2 * d_y * x * t_x).reshape(-1, 3).sum(0))
        return 2 * gain * x * d_y, 2 * (gain * x * t_d_y + gain * t_x * d_y + along[self.gain] * x * d_y)


class NoParameter(Gain):
    def tangent(self, t_x, saved, along):
        return (None if t_x is None else 2 * self.gain.value * saved[0] * t_x), t_x


class NoSecond(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        d_x, t_d_x = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        return d_x, t_d_x if t_x is None else t_d_x - 2 * self.gain.value * t_x * d_y


class Gradient(Gain):
    """Adds the gradient beside its change."""

    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        self.backward(d_y, saved)
        return super().backward_tangent(d_y, t_d_y, saved, t_x, along)


class Empties(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        found = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        saved[0] = 2 * saved[0]
        return found


class Writes(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        found = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        t_d_y.mul_(1)
        t_d_y.add_(1)
        return found


class OtherBackward(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        d_x, t_d_x = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        return 2 * d_x, t_d_x


class Needs(Gain):
    """Takes no None for what does not move."""

    def tangent(self, t_x, saved, along):
        return super().tangent(t_x + 0, saved, along)


def test_what_is_stated_rightly_passes():
    check_layer(Gain, (4, 3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (NoParameter, r"t_output along gain must match finite differences of forward \(tangent\)"),
        (NoSecond, r"the change of the gradients along input \[0\] must match finite differences of backward"),
        (Gradient, r"the change of the gradients along input \[0\] must match finite differences of backward"),
        (Empties, r"a backward after the tangents along input \[0\] must be as without them"),
        (Writes, r"must not be written into|match finite differences of backward"),
        (OtherBackward, "d_input of backward_tangent must be that of backward"),
        (Needs, r"tangent\(t_input, saved, along\)"),
    ],
)
def test_what_is_stated_wrongly_is_found(wrong, said):
    with pytest.raises(CheckError, match=said):
        check_layer(wrong, (4, 3), checks=("finite_differences",))
