"""Difference target propagation is its paper's formula, brings targets down as the paper proves, and trains a net."""

import pytest
import torch
from by_hand import close, cosine, of_layers, outputs, prepared, stepped, three_layers
from toy_parts import SGD, Both, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError
from mytorch.train import gradients
from mytorch.train.rules import TargetPropagation

pytestmark = pytest.mark.numbers


def decoder_of(rule):
    (decoder,) = rule.state_dict()["decoders"]
    return decoder["weight"].clone(), decoder["bias"].clone()


def test_it_is_the_formula_on_three_layers():
    net, x, t, w = three_layers()
    rule = prepared(TargetPropagation(lr=0.2, step=0.3, noise=0.5, seed=3), net)
    stepped(rule, net, x, t)  # draws the decoder of the second block
    v, c = decoder_of(rule)
    drawn = torch.Generator()
    drawn.set_state(rule.state_dict()["generator"])
    value, weight, found = stepped(rule, net, x, t)

    h1, h2, y = outputs(w, x)
    d3 = 2 * (y - t) / t.numel()
    t2 = h2 - 0.3 * 7 * (d3 @ w["4.weight"])
    t1 = h1 + (t2 @ v.T + c).clamp(min=0) - (h2 @ v.T + c).clamp(min=0)
    d1, d2 = (h1 - t1) / (0.3 * 7) * (h1 > 0), (h2 - t2) / (0.3 * 7) * (h2 > 0)
    close(found, of_layers(d1, d2, d3, x, h1, h2))
    close(value, (y - t).square().mean())
    assert weight == t.numel()

    noisy = h1 + 0.5 * torch.randn(h1.shape, generator=drawn, dtype=torch.float64)
    above = (noisy @ w["2.weight"].T + w["2.bias"]).clamp(min=0)
    back = (above @ v.T + c).clamp(min=0)
    d_back = (back - noisy) / 7 * (back > 0)
    close(decoder_of(rule), (v - 0.2 * d_back.T @ above, c - 0.2 * d_back.sum(0)))


def test_the_topmost_hidden_layer_learns_as_by_backpropagation_and_the_last_one_too():
    net, x, t, _ = three_layers()
    _, _, found = stepped(prepared(TargetPropagation(), net), net, x, t)
    gradients(net, SquaredError(), x, t)
    true = {name: held.grad for name, held in net.named_param()}
    for name in ("2.weight", "2.bias", "4.weight", "4.bias"):
        close(found[name], true[name])
    assert not torch.allclose(found["0.weight"], true["0.weight"])


def test_decoders_come_to_invert_their_blocks_and_targets_are_what_would_have_helped():
    """The paper's proposition: with decoders that invert, blocks that reach their targets make the next reach theirs.

    Of linear layers that can be inverted, targets are exact: f_2(t_1) = t_2.
    """
    torch.manual_seed(2)
    net = Chain(Dense(4, 4), Dense(4, 4), Dense(4, 2)).double()
    q, _ = torch.linalg.qr(torch.randn(4, 4).double())
    net.layers[1].weight.value = q * torch.tensor([0.8, 0.9, 1.1, 1.2]).double()
    rule = prepared(TargetPropagation(lr=0.2, noise=1.0, step=0.5), net)
    for _ in range(1500):
        x, t = torch.randn(32, 4).double(), torch.randn(32, 2).double()
        _, _, found = stepped(rule, net, x, t)
    v, _ = decoder_of(rule)
    torch.testing.assert_close(v, net.layers[1].weight.value.inverse(), rtol=0, atol=1e-6)

    w = net.state_dict()
    d2 = 2 * (net.forward(x)[0] - t) / t.numel() @ w["2.weight"]
    d1 = d2 @ v.T
    torch.testing.assert_close(d1 @ w["1.weight"].T, d2, rtol=0, atol=1e-5)  # f_2 maps the one change to the other
    torch.testing.assert_close(found["0.weight"], d1.T @ x, rtol=0, atol=1e-6)
    gradients(net, SquaredError(), x, t)
    assert cosine(found, {name: held.grad for name, held in net.named_param()}) > 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_a_net_learns(seed):
    torch.manual_seed(seed)
    net = Chain(Dense(4, 20), Rectify(), Dense(20, 20), Rectify(), Dense(20, 1)).double()
    x = torch.randn(100, 4).double()
    t = (x[:, :1] * x[:, 1:2]).tanh()
    rule, optimizer, losses = prepared(TargetPropagation(seed=seed), net), SGD(net.param(), lr=0.1), []
    for _ in range(300):
        losses.append(float(rule.gradients(net, SquaredError(), x, t)[0]))
        optimizer.step()
        net.zero_grad()
    assert losses[-1] < 0.3 * losses[0]


def test_a_state_goes_on_to_the_bit():
    net, x, t, _ = three_layers()
    rule = prepared(TargetPropagation(seed=3), net)
    begun = rule.state_dict()
    for _ in range(3):
        stepped(rule, net, x, t)
    fresh = prepared(TargetPropagation(seed=8), net)
    fresh.load_state_dict(rule.state_dict())
    for _ in range(2):
        one, other = stepped(rule, net, x, t)[2], stepped(fresh, net, x, t)[2]
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    torch.testing.assert_close(rule.state_dict(), fresh.state_dict(), rtol=0, atol=0)
    rule.load_state_dict(begun)
    assert rule.state_dict()["decoders"] == []


def test_a_net_without_a_hidden_layer_is_trained_by_its_loss():
    torch.manual_seed(1)
    net, x, t = Chain(Dense(3, 2)).double(), torch.randn(5, 3).double(), torch.randn(5, 2).double()
    _, _, found = stepped(prepared(TargetPropagation(), net), net, x, t)
    gradients(net, SquaredError(), x, t)
    close(found, {name: held.grad for name, held in net.named_param()})


def test_the_size_of_targets_of_a_summed_loss():
    net, x, t, _ = three_layers()
    loss = SquaredError("sum")
    _, _, found = stepped(prepared(TargetPropagation(), net, loss), net, x, t, loss)
    gradients(net, loss, x, t)
    torch.testing.assert_close(found["2.weight"], net.layers[2].weight.grad, rtol=1e-9, atol=1e-9)


def test_refusals():
    with pytest.raises(ArgumentError, match=r"TargetPropagation: the model must be a chain of layers.*got Both"):
        TargetPropagation().prepare(Both(Dense(3, 2), Dense(3, 2)), SquaredError())
    with pytest.raises(ArgumentError, match=r"TargetPropagation: step must be at least 1e-12, got 0"):
        TargetPropagation(step=0)
    with pytest.raises(ArgumentError, match="TargetPropagation: noise must be at least 0, got -1"):
        TargetPropagation(noise=-1)
    rule = prepared(TargetPropagation(), net := Chain(Dense(3, 4), Noise(), Dense(4, 2)))
    with pytest.raises(ArgumentError, match=r"TargetPropagation: layers must compute the same .*got Noise \('1'\)"):
        rule.gradients(net, SquaredError(), torch.randn(5, 3), torch.randn(5, 2))


def test_no_error_at_the_top_is_none_below_to_the_bit():
    net, x, _, _ = three_layers()
    rule = prepared(TargetPropagation(), net)
    _, _, found = stepped(rule, net, x, net.forward(x)[0])
    assert not any(grad.any() for grad in found.values())
