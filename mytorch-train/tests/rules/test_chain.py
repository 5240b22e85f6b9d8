"""The layers of a chain and their blocks, and what is left as it was."""

import pytest
import torch
from toy_parts import Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError, random_state
from mytorch.train.rules import DirectFeedbackAlignment, LocalLosses, SyntheticGradients, TargetPropagation
from mytorch.train.rules.chain import blocks_of, layers_of, require_fixed, require_tensor

pytestmark = pytest.mark.numbers

RULE = LocalLosses()


def nested():
    return Chain(Rectify(), Chain(Dense(3, 4), Chain(Rectify())), Rectify(), Dense(4, 2))


def test_layers_have_their_paths_and_blocks_begin_with_parameters():
    net = nested()
    assert [path for path, _ in layers_of(RULE, net)] == ["0", "1.0", "1.1.0", "2", "3"]
    named = dict(net.named_modules())
    assert all(named[path] is layer for path, layer in layers_of(RULE, net))
    first, second = blocks_of(RULE, net)
    assert [path for path, _ in first.layers] == ["0", "1.0", "1.1.0", "2"]
    assert [path for path, _ in second.layers] == ["3"]
    assert [path for path, _ in first.head().layers] == ["0", "1.0"]
    assert [path for path, _ in first.tail().layers] == ["1.1.0", "2"]
    assert (str(first), str(second)) == ("Rectify ('0') to Rectify ('2')", "Dense ('3')")


def test_layers_without_parameters_are_one_block():
    (block,) = blocks_of(RULE, Chain(Rectify(), Rectify()))
    y, saved = block.forward(x := torch.randn(4, 3))
    assert torch.equal(y, x.clamp(min=0))
    block.learn(torch.randn(4, 3), saved)


@pytest.mark.parametrize("wanted", [None, True, False])
def test_a_lesson_leaves_out_the_gradient_of_the_input_and_restores_what_the_layers_say(wanted):
    torch.manual_seed(1)
    net = nested()
    dense = net.layers[1].layers[0]
    if wanted is not None:
        dense.input_grad = wanted
    seen, backward = [], dense.backward
    block = blocks_of(RULE, net)[0]
    _, saved = block.forward(torch.randn(5, 3))
    vars(dense)["backward"] = lambda *args: seen.append(backward(*args))
    block.learn(torch.randn(5, 4), saved)
    assert seen == [None]
    assert vars(dense).get("input_grad") is wanted
    assert dense.weight.grad is not None


def test_an_error_in_a_lesson_restores_it_too():
    net = nested()
    block = blocks_of(RULE, net)[0]
    _, saved = block.forward(torch.randn(5, 3))
    with pytest.raises(RuntimeError):
        block.learn(torch.randn(5, 9), saved)
    assert all("input_grad" not in vars(module) for module in net.modules())


def test_a_look_at_the_layers_changes_nothing_and_is_not_seen():
    torch.manual_seed(1)
    net, x = Chain(Dense(3, 4), Noise(), Dense(4, 2)), torch.randn(5, 3)
    blocks, drawn = blocks_of(RULE, net), random_state(net)
    for layer in net:
        vars(layer)["forward"] = None  # whoever watches it
    with pytest.raises(ArgumentError, match=r"LocalLosses: layers must compute the same .*got Noise \('1'\)"):
        require_fixed(RULE, blocks, x)
    assert not drawn.drawn()
    assert int(net.layers[1].seen.value) == 0
    net.layers[1].eval()
    require_fixed(RULE, blocks, x)
    assert not net.layers[1].training


@pytest.mark.parametrize(("value", "got"), [((1, 2), "a tuple"), (torch.tensor(1.0), "one without axes")])
def test_what_is_no_tensor_of_rows(value, got):
    with pytest.raises(
        ArgumentError, match=f"LocalLosses: the input must be one tensor with an axis of rows, got {got}"
    ):
        require_tensor(RULE, "the input", value)


def test_a_layer_that_stands_twice_below_the_parameters_is_left_as_it_was():
    shared = Rectify()
    (block,) = blocks_of(RULE, Chain(shared, shared, dense := Dense(3, 4)))
    before = {layer: dict(vars(layer)) for layer in (shared, dense)}
    block.learn(torch.ones(5, 4), block.forward(torch.randn(5, 3))[1])
    assert {layer: dict(vars(layer)) for layer in before} == before
    assert dense.bias.grad.tolist() == [5.0] * 4


@pytest.mark.parametrize("build", [DirectFeedbackAlignment, LocalLosses, SyntheticGradients, TargetPropagation])
@pytest.mark.parametrize("first", [0, 5])
def test_a_batch_without_rows_teaches_nothing_and_decides_no_sizes(build, first):
    net, rule = Chain(Dense(3, 4), Rectify(), Dense(4, 5), Rectify(), Dense(5, 2)), build()
    rule.prepare(net, SquaredError())
    for rows in (first, 5, 0):
        net.zero_grad()
        rule.gradients(net, SquaredError(), torch.randn(rows, 3), torch.randn(rows, 2))
    assert not any(held.grad is not None and held.grad.any() for held in net.param())
