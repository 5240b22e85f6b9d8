"""Layers and losses that do as they please, explained."""

from dataclasses import dataclass

import torch
from toy_parts import Dense, SquaredError, network

from mytorch.core import Module, Parameter
from mytorch.train import explain


class Odd(Module):
    """Saves a dict, a dataclass, its own weight and a view of a larger tensor."""

    @dataclass
    class Saved:
        halves: tuple
        nothing: None = None

    def __init__(self):
        self.weight = Parameter(torch.ones(3))

    def forward(self, x, *, scale):
        large = torch.cat([x, x])
        saved = {"here": self.Saved((large[:5], large[5:])), "weight": self.weight.value, "count": 3}
        return x * self.weight.value * scale["by"], (saved, scale)

    def backward(self, d_output, saved):
        (held, scale) = saved
        self.weight.accumulate((d_output * held["here"].halves[0] * scale["by"]).sum(0))
        return d_output * held["weight"] * scale["by"]


class Holder(Module):
    def __init__(self):
        self.odd = Odd()

    def forward(self, *inputs):
        return self.odd.forward(inputs[0], scale={"by": torch.tensor(2.0)})

    def backward(self, d_output, saved):
        return self.odd.backward(d_output, saved)


def test_a_strangers_layer_may_save_what_it_likes():
    _, inner = explain(Holder(), SquaredError(), torch.randn(5, 3), torch.randn(5, 3)).of("forward")
    counted = {kept.name: kept.counted for kept in inner.saved}
    assert counted == {
        "saved[0][here].halves[0]": 120,  # the storage of both halves
        "saved[0][here].halves[1]": 0,
        "saved[0][weight]": 0,
        "saved[1][by]": 4,
    }
    assert [tensor.name for tensor in inner.inputs] == ["x", "scale[by]"]
    assert inner.formula == ()
    assert inner.summary.startswith("Saves a dict")


class Twice(Module):
    """y = inner(inner(x)), answered in the other order than a stack would."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, a, b):
        (y, first), (z, second) = self.inner.forward(a), self.inner.forward(b)
        return y + z, (first, second)

    def backward(self, d_y, saved):
        return self.inner.backward(d_y, saved[0]), self.inner.backward(d_y, saved[1])


def test_a_backward_is_of_the_forward_that_saved_its_value():
    found = explain(Twice(Dense(2, 2)), SquaredError(), (torch.randn(1, 2), torch.randn(1, 2)), torch.randn(1, 2))
    uses = [(step.phase, step.path, step.use) for step in found.steps if step.path == "inner"]
    assert uses == [
        ("forward", "inner", 1),
        ("forward", "inner", 2),
        ("backward", "inner", 1),
        ("backward", "inner", 2),
    ]


class OwnWay(Module):
    """y = inner(x), computed without inner's forward; `pair` is one input, `scale` has no gradient."""

    def __init__(self):
        self.inner = Dense(2, 1, bias=False)

    def forward(self, pair, *, scale=1.0):
        first, second = pair
        return (first + second) @ self.inner.weight.value.T * scale, first + second

    def backward(self, d_y, both):
        d = self.inner.backward(d_y, both)
        return d, d


class Start(Module):
    """Splits a row, and takes the layer inside by its keyword."""

    def __init__(self):
        self.inner = OwnWay()

    def forward(self, *inputs):
        return self.inner.forward(inputs, scale=1.0)

    def backward(self, d_output, saved):
        return self.inner.backward(d_output, saved)


def test_nested_inputs_keywords_and_a_backward_without_a_forward():
    found = explain(Start(), SquaredError(), (torch.randn(3, 2), torch.randn(3, 2)), torch.randn(3, 1))
    back = {step.path: [tensor.name for tensor in step.outputs] for step in found.of("backward")}
    assert back == {
        "loss": ["d_prediction"],
        "": ["d_inputs[0]", "d_inputs[1]"],
        "inner": ["d_pair[0]", "d_pair[1]"],
        "inner.inner": ["d_input"],
    }


class Heads(Module):
    """Two heads, of which the loss uses one."""

    def forward(self, x):
        return (x * 1, x * 2), None

    def backward(self, d_heads, saved):
        return d_heads[0]


class First(Module):
    """The mean of the first of two heads."""

    def forward(self, prediction, target):
        return prediction[0].mean(), prediction[0]

    def backward(self, d_value, kept):
        return torch.full_like(kept, d_value / kept.numel()), None


def test_an_output_that_was_not_used_has_no_gradient():
    found = explain(Heads(), First(), torch.randn(2, 4), torch.randn(2))
    assert [tensor.name for tensor in found.of("forward")[0].outputs] == ["heads[0]", "heads[1]"]
    assert [tensor.name for tensor in found.of("backward")[1].inputs] == ["d_heads[0]"]


def test_a_loss_that_holds_modules_has_them_explained_too():
    class Through(Module):
        """The error of what a layer makes of the prediction; it knows the model as well."""

        def __init__(self, net):
            self.layer, self.inner, self.net = Dense(2, 2), SquaredError(), net

        def forward(self, prediction, target):
            y, first = self.layer.forward(prediction)
            value, second = self.inner.forward(y, target)
            return value, (first, second)

        def backward(self, d_value, saved):
            return self.layer.backward(self.inner.backward(d_value, saved[1]), saved[0])

    net = network()
    found = explain(net, Through(net), torch.randn(3, 2), torch.randn(3, 2))
    assert [(step.path, step.depth) for step in found.of("loss")] == [
        ("loss", 0),
        ("loss.layer", 1),
        ("loss.inner", 1),
    ]
    back = [step.path for step in found.of("backward")]
    assert back == ["loss", "loss.inner", "loss.layer", "", "2", "1", "0"]
