"""Layers that take their sizes from their first input, or from a state dict."""

import pytest
import torch

from mytorch.core import (
    Buffer,
    LazyModule,
    Module,
    Parameter,
    ShapeError,
    StateError,
    UninitializedBuffer,
    UninitializedError,
    UninitializedParameter,
    describe,
    rebuild,
    require_last_axis,
    require_upstream,
    tie,
)
from mytorch.core.description import DescriptionError


class Scale(Module):
    """y = gain * x + shift, with how many forwards there were in a buffer."""

    def __init__(self, dim, low=0.0, device=None, dtype=None):
        self.dim, self.low = dim, low
        self.gain = Parameter(low + torch.rand(dim, device=device, dtype=dtype))
        self.shift = Buffer(torch.rand(dim, device=device, dtype=dtype))

    def forward(self, x):
        require_last_axis(self, x, self.dim)
        return self.gain.value * x + self.shift.value, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, self.dim).sum(0))
        return self.gain.value * d_y if self.input_grad else None


class LazyScale(LazyModule):
    becomes = Scale

    def __init__(self, low=0.0, device=None, dtype=None):
        self.gain, self.shift = UninitializedParameter(device, dtype), UninitializedBuffer(device, dtype)

    def sizes_of_input(self, x):
        return {"dim": x.shape[-1]}

    def sizes_of_state(self, state):
        return {"dim": len(state["gain"])} if "gain" in state else None


class Pair(Module):
    def __init__(self, first, second):
        self.first, self.second = first, second

    def forward(self, x):
        y, saved = self.first.forward(x)
        z, kept = self.second.forward(y)
        return z, (saved, kept)

    def backward(self, d_z, saved):
        return self.first.backward(self.second.backward(d_z, saved[1]), saved[0])


def test_the_first_forward_makes_it_the_layer_that_it_stands_for():
    x = torch.randn(4, 3)
    torch.manual_seed(3)
    lazy = LazyScale(low=2.0)
    gain = lazy.gain
    y, saved = lazy.forward(x)
    torch.manual_seed(3)
    twin = Scale(3, low=2.0)
    assert type(lazy) is Scale
    assert repr(lazy) == repr(twin) == "Scale(dim=3, low=2.0)"
    assert lazy.gain is gain
    torch.testing.assert_close(y, twin.forward(x)[0], rtol=0, atol=0)
    d_y = torch.randn(4, 3)
    torch.testing.assert_close(lazy.backward(d_y, saved), twin.backward(d_y, x), rtol=0, atol=0)
    torch.testing.assert_close(lazy.gain.grad, twin.gain.grad, rtol=0, atol=0)
    with pytest.raises(ShapeError, match="Scale: last axis of x must be 3, got 4"):
        lazy.forward(torch.randn(2, 4))


def test_what_was_set_before_stays():
    lazy = LazyScale().double().eval()
    lazy.input_grad = False
    lazy.gain.trainable = False
    _, saved = lazy.forward(torch.randn(4, 3, dtype=torch.float64))
    assert lazy.backward(torch.randn(4, 3, dtype=torch.float64), saved) is None
    assert (lazy.gain.grad, lazy.training, lazy.gain.value.dtype) == (None, False, torch.float64)
    assert lazy.shift.value.dtype is torch.float64


def test_weights_of_a_first_forward_under_inference_mode_are_trained_outside_of_it():
    lazy = LazyScale()
    with torch.inference_mode():
        lazy(torch.randn(2, 3))
    assert not lazy.gain.value.is_inference()
    assert not lazy.gain.value.requires_grad
    lazy.gain.value.add_(1.0)


def test_the_meta_device():
    lazy = LazyScale().to("meta")
    y = lazy(torch.empty(4, 3, device="meta"))
    assert {y.device.type, lazy.gain.value.device.type, lazy.shift.value.device.type} == {"meta"}


def test_backward_before_any_forward():
    with pytest.raises(UninitializedError, match=r"^LazyScale: backward must come after a forward, got a layer"):
        LazyScale().backward(torch.ones(2, 3), torch.ones(2, 3))


def test_a_state_dict_tells_the_sizes_and_draws_nothing():
    source, net = Pair(Scale(3), Scale(3)), Pair(LazyScale(), LazyScale())
    before = torch.get_rng_state()
    assert net.load_state_dict(source.state_dict()) == ([], [])
    assert torch.equal(torch.get_rng_state(), before)
    assert type(net.first) is type(net.second) is Scale
    torch.testing.assert_close(net.state_dict(), source.state_dict(), rtol=0, atol=0)
    assert net.first.gain.value.data_ptr() != source.first.gain.value.data_ptr()


def test_not_strict_loads_what_is_there_and_leaves_the_rest_lazy():
    net, state = Pair(LazyScale(), LazyScale()), Scale(3).state_dict()
    given = {"first.gain": state["gain"], "other": torch.zeros(1)}
    missing, unexpected = net.load_state_dict(given, strict=False)
    assert missing == ["first.shift", "second.gain", "second.shift"]
    assert unexpected == ["other"]
    assert [type(net.first), type(net.second)] == [Scale, LazyScale]
    torch.testing.assert_close(net.first.gain.value, state["gain"])


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({}, "missing: first.gain, first.shift, second.gain, second.shift$"),
        (
            {"first.shift": torch.zeros(3)},
            r"first\.shift must come with tensors that tell the sizes of its lazy layer",
        ),
        ({"first.gain": None}, "first.gain must be a tensor, got None"),
        (
            {"first.gain": torch.zeros(3), "first.shift": torch.zeros(2)},
            r"first.shift must have shape \(3,\), got \(2,\)",
        ),
        (
            {"first.gain": torch.zeros(3, device="meta")},
            "first.gain must hold numbers, got a tensor on the meta device",
        ),
    ],
)
def test_a_state_dict_that_does_not_fit_changes_nothing(state, text):
    net = Pair(LazyScale(), LazyScale())
    with pytest.raises(StateError, match=text):
        net.load_state_dict(state)
    assert type(net.first) is type(net.second) is LazyScale
    assert not any(held.initialized for _, held in net.named_state())


def test_a_parameter_that_two_lazy_layers_share():
    net = Pair(LazyScale(), LazyScale())
    tie(net, ["first.gain", "second.gain"])
    state = {name: value for name, value in Pair(Scale(3), Scale(3)).state_dict().items() if name != "second.gain"}
    other = Pair(LazyScale(), LazyScale())
    tie(other, ["first.gain", "second.gain"])
    net(torch.randn(2, 3))
    other.load_state_dict(state)
    for tied in (net, other):
        assert tied.first.gain is tied.second.gain
        assert type(tied.second) is Scale
        assert len(tied.param()) == 1
    torch.testing.assert_close(other.second.gain.value, state["first.gain"])


def test_a_tied_parameter_of_another_shape():
    lazy = LazyScale()
    lazy.gain = Parameter(torch.ones(4))
    with pytest.raises(ShapeError, match=r"^LazyScale: gain, which is tied, must have shape \(3,\), got \(4,\)$"):
        lazy(torch.randn(2, 3))
    assert type(lazy) is LazyScale
    assert not lazy.shift.initialized
    lazy(torch.randn(2, 4))
    assert torch.equal(lazy.gain.value, torch.ones(4))


def test_descriptions_before_and_after():
    net = Pair(LazyScale(low=1.0), LazyScale())
    description, tensors = describe(net)
    again = rebuild(description, tensors)
    assert repr(again) == repr(net)
    assert type(again.first) is LazyScale
    x = torch.randn(2, 3)
    y = net(x)
    copy = rebuild(*describe(net))
    assert repr(copy) == repr(net)
    assert type(copy.first) is Scale
    copy.load_state_dict(net.state_dict())
    torch.testing.assert_close(copy(x), y, rtol=0, atol=0)
    again.load_state_dict(net.state_dict())
    torch.testing.assert_close(again(x), y, rtol=0, atol=0)


class Borrows(Module):
    def __init__(self, gain):
        self.gain = gain


def test_a_parameter_without_shape_cannot_be_described_as_an_argument():
    with pytest.raises(
        DescriptionError, match=r"^model\.gain: a parameter must have its shape to be described, got Unin"
    ):
        describe(Borrows(UninitializedParameter()))


def test_one_that_does_not_say_how_it_takes_its_sizes():
    class Silent(LazyModule):
        becomes = Scale

        def __init__(self):
            self.gain = UninitializedParameter()

    with pytest.raises(NotImplementedError, match="Silent: sizes_of_input must be defined"):
        Silent()(torch.zeros(2, 3))
    with pytest.raises(NotImplementedError, match="Silent: sizes_of_state must be defined"):
        Silent().load_state_dict({"gain": torch.zeros(2)})
