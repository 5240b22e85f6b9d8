"""Tangents that are stated wrongly, each beside the right twin."""

import pytest
import torch

from mytorch.core import (
    Loss,
    Module,
    Parameter,
    require_d_value,
    require_last_axis,
    require_same_shape,
    require_upstream,
)
from mytorch.testing import CheckError, check_layer, check_loss


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


class Replaces(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        found = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        saved[0] = 2 * saved[0]
        return found


class Empties(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        found = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        saved.clear()
        return found


class EmptiesEarly(Gain):
    def tangent(self, t_x, saved, along):
        found = super().tangent(t_x, saved, along)
        saved.pop()
        return found


class Writes(Gain):
    """Into what `where` picks, by which nothing that is returned is wrong."""

    where = None

    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        found = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        written = self.where(d_y, t_d_y, saved, t_x, along)
        if written is not None:
            written.add_(1)
        return found


class WritesUpstream(Writes):
    def where(self, d_y, t_d_y, saved, t_x, along):
        return t_d_y


class WritesSaved(Writes):
    def where(self, d_y, t_d_y, saved, t_x, along):
        return saved[0]


class WritesTangent(Writes):
    def where(self, d_y, t_d_y, saved, t_x, along):
        return t_x


class WritesDirection(Writes):
    def where(self, d_y, t_d_y, saved, t_x, along):
        return along[self.gain]


class WritesParameter(Writes):
    def where(self, d_y, t_d_y, saved, t_x, along):
        return self.gain.value


class WritesBack(Gain):
    """Leaves the numbers as they were."""

    def tangent(self, t_x, saved, along):
        found = super().tangent(t_x, saved, along)
        saved[0].mul_(2).div_(2)
        return found


class OtherBackward(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        d_x, t_d_x = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        return 2 * d_x, t_d_x


class Needs(Gain):
    """Takes no None for what does not move."""

    def tangent(self, t_x, saved, along):
        return super().tangent(t_x + 0, saved, along)


class NeedsNone(Gain):
    """Takes what is not None for a move by 1."""

    def tangent(self, t_x, saved, along):
        if t_x is not None and not t_x.any():
            t_x = torch.ones_like(t_x)
        return super().tangent(t_x, saved, along)


class Restless(Gain):
    """Moves where nothing does."""

    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        d_x, t_d_x = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        still = t_x is None and not along[self.gain].any()
        return d_x, t_d_x + 1 if still else t_d_x


class OnlyWithInput(Gain):
    """Forgets the parameter where the input wants no gradient."""

    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        if self.input_grad:
            return super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        return None, None


class NoPair(Gain):
    def tangent(self, t_x, saved, along):
        return super().tangent(t_x, saved, along)[0]


class OtherShape(Gain):
    def tangent(self, t_x, saved, along):
        t_y, t_x = super().tangent(t_x, saved, along)
        return t_y.flatten(), t_x


class WrongNesting(Gain):
    def backward_tangent(self, d_y, t_d_y, saved, t_x, along):
        d_x, t_d_x = super().backward_tangent(d_y, t_d_y, saved, t_x, along)
        return d_x, (t_d_x, t_d_x)


DIFFERENCES = "match finite differences of"


def test_what_is_stated_rightly_passes():
    report = check_layer(Gain, (4, 3))
    assert not report.remarks
    assert "remark" not in str(report)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (NoParameter, rf"t_output along gain must {DIFFERENCES} forward \(tangent\)"),
        (NoSecond, rf"the change of the gradients along input \[0\] must {DIFFERENCES} backward \(backward_tangent\)"),
        (Gradient, rf"the change of the gradients along input \[0\] must {DIFFERENCES} backward"),
        (Replaces, r"saved\[0\] must stay as it is, since a backward may follow, but backward_tangent replaced it"),
        (Empties, r"saved\[0\] must stay as it is, since a backward may follow, but backward_tangent took it out"),
        (EmptiesEarly, r"saved\[0\] must stay as it is, since a backward may follow, but tangent took it out"),
        (WritesUpstream, "t_d_output must not be written into, but backward_tangent did"),
        (WritesSaved, r"saved\[0\] must not be written into, but backward_tangent did"),
        (WritesTangent, "t_input must not be written into, but backward_tangent did"),
        (WritesDirection, r"along\[gain\] must not be written into, but backward_tangent did"),
        (WritesParameter, "parameter gain must not be written into, but backward_tangent did"),
        (WritesBack, r"saved\[0\] must not be written into, but tangent did; largest difference 0"),
        (OtherBackward, "d_input of backward_tangent must be that of backward"),
        (Needs, r"tangent\(t_input, saved, along\) must not raise, got TypeError"),
        (NeedsNone, "t_output along gain must be the same with zeros for t_input"),
        (Restless, "the change of the gradients where nothing moves must be the same with None for t_input"),
        (OnlyWithInput, "the change of the gradients along gain must be the same with input_grad=False"),
        (NoPair, r"tangent must return \(t_output, t_saved\), a tuple of two, got Tensor"),
        (OtherShape, r"t_output must be None or have the shape \(4, 3\), got \(12,\)"),
        (WrongNesting, "backward_tangent must return gradients nested as the inputs are"),
    ],
)
def test_what_is_stated_wrongly_is_found(wrong, said):
    with pytest.raises(CheckError, match=said):
        check_layer(wrong, (4, 3), checks=("finite_differences",))


class Cubed(Loss):
    """value = sum of (prediction - target)^3 / 3"""

    reduction = "sum"

    def forward(self, prediction, target):
        require_same_shape(self, prediction, target)
        difference = prediction - target
        return (difference**3).sum() / 3, difference

    def backward(self, d_value, difference):
        require_d_value(self, d_value, (), difference)
        return d_value * difference**2

    def tangent(self, t_prediction, difference, along):
        return (difference**2 * t_prediction).sum(), t_prediction

    def backward_tangent(self, d_value, t_d_value, difference, t_prediction, along):
        change = d_value * 2 * difference * t_prediction
        return d_value * difference**2, t_d_value * difference**2 + change


class NoSlope(Cubed):
    def tangent(self, t_prediction, difference, along):
        return torch.zeros_like(t_prediction).sum(), t_prediction


class Straight(Cubed):
    """A Hessian of zeros."""

    def backward_tangent(self, d_value, t_d_value, difference, t_prediction, along):
        return d_value * difference**2, t_d_value * difference**2


class UpstreamOfOne(Cubed):
    """Takes d_value for 1 in the change."""

    def backward_tangent(self, d_value, t_d_value, difference, t_prediction, along):
        return d_value * difference**2, t_d_value * difference**2 + 2 * difference * t_prediction


class ForTheTarget(Cubed):
    def backward_tangent(self, d_value, t_d_value, difference, t_prediction, along):
        d, t_d = super().backward_tangent(d_value, t_d_value, difference, t_prediction, along)
        return (d, -d), (t_d, -t_d)


def test_a_loss_that_states_rightly_passes():
    check_loss(Cubed, (4, 3), (4, 3))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (NoSlope, rf"t_output along input \[0\] must {DIFFERENCES} forward"),
        (Straight, rf"the change of the gradients along input \[0\] must {DIFFERENCES} backward"),
        (UpstreamOfOne, rf"the change of the gradients along input \[0\] must {DIFFERENCES} backward"),
        (ForTheTarget, "backward_tangent must return gradients nested as the inputs are"),
    ],
)
def test_a_loss_that_states_wrongly_is_found(wrong, said):
    with pytest.raises(CheckError, match=said):
        check_loss(wrong, (4, 3), (4, 3), checks=("finite_differences",))


class Silent(Module):
    """States no tangents."""

    forward, backward = Gain.forward, Gain.backward

    def __init__(self):
        self.gain = Parameter(torch.rand(3) + 0.5)


class Outer(Module):
    """A container that states its own."""

    def __init__(self, inner):
        self.inner = inner()

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, d_y, saved):
        return self.inner.backward(d_y, saved)

    def tangent(self, t_x, saved, along):
        return self.inner.tangent(t_x, saved, along)

    def backward_tangent(self, d_y, t_d_y, saved, t_saved, along):
        return self.inner.backward_tangent(d_y, t_d_y, saved, t_saved, along)


def test_a_container_says_which_layer_in_it_keeps_its_tangents_from_being_compared():
    report = check_layer(lambda: Outer(Silent), (4, 3), checks=("finite_differences",))
    said = "tangent and backward_tangent are not compared, since those of 'inner' (Silent) are not stated"
    assert report.remarks == {"train/finite_differences": said, "eval/finite_differences": said}
    assert f"\n  remark: train/finite_differences ({said})" in str(report)
    assert not check_layer(lambda: Outer(Gain), (4, 3), checks=("finite_differences",)).remarks
    assert not check_layer(Silent, (4, 3), checks=("finite_differences",)).remarks
    with pytest.raises(CheckError, match=r"the change of the gradients along input \[0\]"):
        check_layer(lambda: Outer(NoSecond), (4, 3), checks=("finite_differences",))
