"""What is measured of each layer of a model."""

import pytest
import torch
from saving_layers import Live, Own, Saves
from sharing_nets import Again, Detour
from toy_parts import Chain, Dense, Noise, Rectify

from mytorch.train.memory import measure
from mytorch.train.memory.plan import peak_of


def paths(measured):
    return [layer.path for layer in measured.layers]


def test_layers_of_nested_chains_one_by_one():
    net = Chain(Dense(3, 5), Chain(Rectify(), Chain(Dense(5, 5), Noise())), Detour(Chain(Dense(5, 5), Rectify())))
    measured = measure(net, torch.randn(4, 3))
    assert paths(measured) == ["0", "1.0", "1.1.0", "1.1.1", "2"]
    assert [layer.linked for layer in measured.layers] == [False, True, True, True, True]
    assert not any(layer.fixed for layer in measured.layers)
    first, relu, dense, noise, detour = measured.layers
    y = 4 * 4 * 5
    assert measured.bytes(first.saved) == 0  # x is the batch's
    assert measured.bytes(relu.saved) == y
    assert dense.saved == relu.saved  # the same tensor, counted once
    assert measured.bytes(noise.saved) == 0
    assert noise.buffers == 8
    assert measured.bytes(detour.saved) == 2 * y  # of its layers: x, and what the last gives
    assert detour.inputs <= detour.saved
    assert peak_of(measured, ()) == 3 * y
    assert all(layer.seconds > 0 for layer in measured.layers)
    assert [layer.module for layer in measured.layers] == [net.layers[0], net.layers[1].layers[0], *_last(net)]


def _last(net):
    return [*net.layers[1].layers[1].layers, net.layers[2]]


def test_a_model_with_a_forward_of_its_own():
    live = Live()
    net = Own(Saves(live, 400), Saves(live, 800), Chain(Saves(live, 1200), Rectify()))
    measured = measure(net, torch.randn(5))
    assert paths(measured)[:2] == ["first", "mid"]
    assert [layer.linked for layer in measured.layers] == [False, True, False, True]
    assert measured.bytes(measured.always) == 20
    assert peak_of(measured, ()) == 20 + 400 + (800 + 20) + (1200 + 20) + 20
    assert live.now == 0


def test_a_layer_that_is_called_twice_is_fixed():
    twice = Dense(3, 3)
    measured = measure(Chain(twice, Rectify(), twice), torch.randn(4, 3))
    assert [layer.fixed for layer in measured.layers] == [True, False, True]


def test_a_model_that_calls_no_layers_is_one():
    measured = measure(Dense(3, 2), torch.randn(4, 3))
    assert paths(measured) == [""]


def test_what_is_computed_again_within_counts_as_it_is_kept():
    net = Chain(Dense(3, 3), Again(Chain(Dense(3, 3), Rectify())))
    measured = measure(net, torch.randn(4, 3))
    assert len(measured.layers) == 2
    assert measured.bytes(measured.layers[1].saved) == 48


def test_nothing_is_changed_or_kept():
    live = Live()
    net = Chain(Saves(live, 400), Noise(), Saves(live, 800), Noise())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.randn(5)
    random = torch.get_rng_state()
    measure(net, x)
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert live.now == 0
    assert live.most <= 800  # no block is kept while the others are measured
    assert not any("forward" in vars(module) for module in net.modules())
    assert all(parameter.grad is None for parameter in net.param())


def test_inputs_by_name_and_several():
    class Sum(Chain):
        def forward(self, a, b):
            return super().forward(a + b)

    net = Sum(Dense(3, 3), Rectify())
    x = torch.randn(4, 3)
    for inputs in ((x, x), {"a": x, "b": x}):
        assert len(measure(net, inputs).layers) == 2


@pytest.mark.parametrize("shape", [(4, 3), (1, 3)])
def test_views_of_one_block_count_once(shape):
    class Flat(Rectify):
        def forward(self, x):
            y = x.reshape(-1)
            return y.reshape(shape), y

        def backward(self, d_y, y):
            return d_y

    measured = measure(Chain(Dense(3, 3), Rectify(), Flat(), Dense(3, 3)), torch.randn(shape))
    assert len({layer.saved for layer in measured.layers[1:]}) == 1
    assert peak_of(measured, ()) == 4 * shape[0] * 3
