"""Local losses are their paper's formula; nothing flows between blocks; a net learns by them."""

import pytest
import torch
from by_hand import close, of_layers, outputs, prepared, stepped, three_layers
from toy_parts import SGD, Both, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError
from mytorch.train.rules import LocalLosses

pytestmark = pytest.mark.numbers


def heads_of(rule):
    return [(head["weight"].clone(), head["bias"].clone()) for head in rule.state_dict()["heads"]]


def test_it_is_the_formula_on_three_layers():
    net, x, t, w = three_layers()
    rule = prepared(LocalLosses(lr=0.2, seed=4), net)
    stepped(rule, net, x, t)  # draws the heads
    heads = heads_of(rule)
    value, weight, found = stepped(rule, net, x, t)

    h1, h2, y = outputs(w, x)
    (a1, b1), (a2, b2) = heads
    e1, e2, e3 = (2 * (p - t) / t.numel() for p in (h1 @ a1.T + b1, h2 @ a2.T + b2, y))
    close(found, of_layers(e1 @ a1 * (h1 > 0), e2 @ a2 * (h2 > 0), e3, x, h1, h2))
    close(value, (y - t).square().mean())
    assert weight == t.numel()
    close(heads_of(rule)[0], (a1 - 0.2 * e1.T @ h1, b1 - 0.2 * e1.sum(0)))
    close(heads_of(rule)[1], (a2 - 0.2 * e2.T @ h2, b2 - 0.2 * e2.sum(0)))


def test_what_is_above_has_no_influence():
    net, x, t, _ = three_layers()
    _, _, before = stepped(prepared(LocalLosses(seed=4), net), net, x, t)
    for held in (*net.layers[2].param(), *net.layers[4].param()):
        held.value = torch.randn_like(held.value)
    _, _, after = stepped(prepared(LocalLosses(seed=4), net), net, x, t)
    close(after["0.weight"], before["0.weight"])
    assert not torch.equal(after["2.weight"], before["2.weight"])


def test_heads_are_those_of_the_seed_and_go_into_a_state():
    net, x, t, _ = three_layers()
    rules = [prepared(LocalLosses(seed=seed), net) for seed in (4, 4, 5)]
    for rule in rules:
        assert rule.state_dict() == {"heads": []}
        stepped(rule, net, x, t)
    first, again, other = map(heads_of, rules)
    close(first, again)
    assert not torch.equal(first[0][0], other[0][0])
    kept = rules[0].state_dict()
    _, _, wanted = stepped(rules[0], net, x, t)
    fresh = prepared(LocalLosses(seed=9), net)
    fresh.load_state_dict(kept)
    torch.testing.assert_close(stepped(fresh, net, x, t)[2], wanted, rtol=0, atol=0)
    fresh.load_state_dict({"heads": []})
    torch.testing.assert_close(fresh.state_dict(), {"heads": []})


def test_heads_read_all_numbers_of_a_row_or_the_last_axis():
    torch.manual_seed(2)

    class Fold(Rectify):
        def forward(self, x):
            return x.reshape(len(x), -1), x.shape

        def backward(self, d_y, shape):
            return d_y.reshape(shape)

    class Wide(Dense):
        def backward(self, d_y, x):
            d_x = super().backward(d_y.flatten(0, -2), x.flatten(0, -2))
            return None if d_x is None else d_x.reshape(x.shape)

    x, t = torch.randn(6, 4, 3), torch.randn(6, 2)
    rule = prepared(LocalLosses(), net := Chain(Wide(3, 5), Fold(), Dense(20, 7), Dense(7, 2)))
    stepped(rule, net, x, t)
    assert [tuple(a.shape) for a, _ in heads_of(rule)] == [(2, 20), (2, 7)]
    rule = prepared(LocalLosses(), net := Chain(Wide(3, 5), Wide(5, 2)))
    stepped(rule, net, x, torch.randn(6, 4, 2))
    assert [tuple(a.shape) for a, _ in heads_of(rule)] == [(2, 5)]


def test_layers_that_draw_are_trained():
    torch.manual_seed(2)
    net = Chain(Dense(3, 5), Noise(), Dense(5, 2))
    rule = prepared(LocalLosses(), net)
    rule.gradients(net, SquaredError(), torch.randn(4, 3), torch.randn(4, 2))
    assert all(held.grad is not None for held in net.param())
    assert int(net.layers[1].seen.value) == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_a_net_learns(seed):
    """The paper's promise: layers that learn by themselves make what the last one can read."""
    torch.manual_seed(seed)
    net = Chain(Dense(4, 20), Rectify(), Dense(20, 20), Rectify(), Dense(20, 1)).double()
    x = torch.randn(100, 4).double()
    t = (x[:, :1] * x[:, 1:2]).tanh()
    rule, optimizer = prepared(LocalLosses(seed=seed), net), SGD(net.param(), lr=0.1)
    losses = [float(stepped_by(rule, net, x, t, optimizer)) for _ in range(300)]
    assert losses[-1] < 0.2 * losses[0]


def stepped_by(rule, net, x, t, optimizer):
    value, _ = rule.gradients(net, SquaredError(), x, t)
    optimizer.step()
    net.zero_grad()
    return value


@pytest.mark.parametrize(
    ("net", "got"),
    [
        (Both(Dense(3, 2), Dense(3, 2)), "got Both;"),
        (Chain(), "have a layer, got Chain without any"),
    ],
)
def test_branches_are_refused_before_a_training(net, got):
    with pytest.raises(ArgumentError, match=f"LocalLosses: the model must (be a chain.*)?{got}"):
        LocalLosses().prepare(net, SquaredError())


def test_other_inputs_are_refused():
    rule = prepared(LocalLosses(), net := Chain(Dense(3, 2)))
    with pytest.raises(
        ArgumentError, match="LocalLosses: the input must be one tensor with an axis of rows, got a tuple"
    ):
        rule.gradients(net, SquaredError(), (torch.randn(2, 3), torch.randn(2, 3)), torch.randn(2, 2))


def test_settings_that_do_not_fit():
    with pytest.raises(ArgumentError, match="LocalLosses: lr must be at least 0, got -1"):
        LocalLosses(lr=-1)
    with pytest.raises(ArgumentError, match="LocalLosses: seed must"):
        LocalLosses(seed=-1)


def test_chains_in_a_chain_are_one():
    torch.manual_seed(1)
    flat = Chain(Dense(3, 5), Rectify(), Dense(5, 4), Rectify(), Dense(4, 2))
    nested = Chain(Chain(*flat.layers[:2]), Chain(Chain(*flat.layers[2:4]), flat.layers[4]))
    x, t = torch.randn(5, 3), torch.randn(5, 2)
    one = stepped(prepared(LocalLosses(), flat), flat, x, t)[2]
    other = stepped(prepared(LocalLosses(), nested), nested, x, t)[2]
    torch.testing.assert_close(list(other.values()), list(one.values()), rtol=0, atol=0)


class Squash(Rectify):
    """y = tanh(x)"""

    def forward(self, x):
        y = x.tanh()
        return y, y

    def backward(self, d_y, y):
        return d_y * (1 - y * y)


def test_heads_go_through_the_layers_at_the_end_that_have_no_parameters():
    net, x, t, w = three_layers()
    net = Chain(*net.layers, Squash())
    rule = prepared(LocalLosses(seed=4), net)
    stepped(rule, net, x, t)
    (a1, b1), (a2, b2) = heads_of(rule)
    _, _, found = stepped(rule, net, x, t)
    h1, h2, z = outputs(w, x)
    y1, y2, y3 = (scores.tanh() for scores in (h1 @ a1.T + b1, h2 @ a2.T + b2, z))
    e1, e2, e3 = (2 * (y - t) / t.numel() * (1 - y * y) for y in (y1, y2, y3))
    close(found, of_layers(e1 @ a1 * (h1 > 0), e2 @ a2 * (h2 > 0), e3, x, h1, h2))
