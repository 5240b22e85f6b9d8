"""Watching every layer."""

import pytest
import torch
from toy_parts import Chain, Dense, Rectify, SquaredError

from mytorch.train import gradients, observe
from mytorch.train.observe import intercept


def test_children_come_before_their_container_and_backward_in_reverse():
    net, seen = Chain(Dense(2, 3), Chain(Rectify())), []

    def watch(which):
        return lambda path, module, value: seen.append((which, path, tuple(value.shape)))

    with observe(net, watch("forward"), watch("backward")):
        gradients(net, SquaredError(), torch.randn(4, 2), torch.randn(4, 3))
    shapes = [("0", (4, 3)), ("1.0", (4, 3)), ("1", (4, 3)), ("", (4, 3))]
    assert seen[:4] == [("forward", *entry) for entry in shapes]
    backward = [("1.0", (4, 3)), ("1", (4, 3)), ("0", (4, 2)), ("", (4, 2))]
    assert seen[4:] == [("backward", *entry) for entry in backward]


def test_nothing_is_left_behind_after_an_error():
    net = Chain(Dense(2, 3))
    with pytest.raises(ZeroDivisionError), observe(net, lambda *_: 1 / 0, lambda *_: None):
        net.forward(torch.randn(4, 2))
    assert net.forward(torch.randn(4, 2))[0].shape == (4, 3)


def test_one_inside_the_other():
    net, outer, inner = Dense(2, 3), [], []
    with observe(net, lambda *_: outer.append(1), lambda *_: None):
        with observe(net, lambda *_: inner.append(1), lambda *_: None):
            net.forward(torch.randn(4, 2))
        net.forward(torch.randn(4, 2))
    net.forward(torch.randn(4, 2))
    assert (len(outer), len(inner)) == (2, 1)


def test_a_method_of_the_object_itself_is_kept():
    net = Dense(2, 3)
    net.forward = own = lambda x: (x, x)
    with observe(net, lambda *_: None, lambda *_: None):
        net.forward(torch.randn(4, 2))
    assert net.forward is own


def test_a_module_that_is_given_twice_is_put_back():
    layer = Dense(2, 1)
    with intercept([("one", layer), ("two", layer)], lambda path, module, name, method: method):
        assert {"forward", "backward"} <= vars(layer).keys()
    assert not {"forward", "backward"} & vars(layer).keys()
