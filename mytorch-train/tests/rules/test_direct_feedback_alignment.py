"""Direct feedback alignment is its paper's formula, and trains deep chains."""

from copy import deepcopy

import pytest
import torch
from by_hand import close, cosine, of_layers, outputs, prepared, stepped, three_layers
from sharing_nets import Detour
from toy_parts import SGD, Chain, Dense, Rectify, Sequential, SquaredError

from mytorch.core import ArgumentError, Module, StateError
from mytorch.train import gradients
from mytorch.train.rules import DirectFeedbackAlignment

pytestmark = pytest.mark.numbers


def test_it_is_the_formula_on_three_layers():
    net, x, t, w = three_layers()
    rule = prepared(DirectFeedbackAlignment(), net)
    value, weight, found = stepped(rule, net, x, t)
    b1, b2 = rule.state_dict()["matrices"]
    h1, h2, y = outputs(w, x)
    e = 2 * (y - t) / t.numel()
    close(found, of_layers(e @ b1 * (h1 > 0), e @ b2 * (h2 > 0), e, x, h1, h2))
    close(value, (y - t).square().mean())
    assert weight == SquaredError().weight_of(t, t)
    assert [tuple(b.shape) for b in (b1, b2)] == [(2, 5), (2, 4)]


def test_containers_within_are_flattened_and_all_rows_of_one_batch_may_be_few():
    net, x, t, _ = three_layers()
    nested = Sequential(Sequential(*net.layers[:3]), Sequential(*net.layers[3:])).double()
    _, _, found = stepped(prepared(DirectFeedbackAlignment(), net), net, x, t)
    _, _, same = stepped(prepared(DirectFeedbackAlignment(), nested), nested, x, t)
    for (_, one), (_, other) in zip(found.items(), same.items(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


class Each(Module):
    """A Dense at every step of a sequence, or at its last."""

    def __init__(self, inner, last=False):
        self.weight, self.bias, self.last = inner.weight, inner.bias, last

    def forward(self, x):
        z = x[:, -1] if self.last else x
        return z @ self.weight.value.T + self.bias.value, x

    def backward(self, d_y, x):
        z = x[:, -1] if self.last else x
        self.weight.accumulate(torch.einsum("...o,...i->oi", d_y, z))
        self.bias.accumulate(d_y.reshape(-1, d_y.shape[-1]).sum(0))
        if not self.input_grad:
            return None
        d_x = torch.zeros_like(x)
        (d_x[:, -1] if self.last else d_x).copy_(d_y @ self.weight.value)
        return d_x


@pytest.mark.parametrize("last", [False, True])
def test_every_place_of_a_sequence_has_its_own_error_where_the_prediction_has_it(last):
    net = Chain(Each(Dense(3, 4)), Rectify(), Each(Dense(4, 2), last=last)).double()
    x = torch.randn(5, 6, 3).double()
    t = torch.randn(5, 2).double() if last else torch.randn(5, 6, 2).double()
    rule = prepared(DirectFeedbackAlignment(), net)
    _, _, found = stepped(rule, net, x, t)
    (b,) = rule.state_dict()["matrices"]
    assert tuple(b.shape) == ((2, 24) if last else (2, 4))
    h = net.layers[0].forward(x)[0]
    e = 2 * (net(x) - t) / t.numel()
    d_a = (e @ b).reshape(h.shape) * (h > 0)
    torch.testing.assert_close(found["0.weight"], torch.einsum("bso,bsi->oi", d_a, x), rtol=0, atol=1e-12)


def test_it_learns_in_a_deep_chain_and_comes_to_agree_with_backpropagation():
    """Nøkland 2016: it trains deep networks, since the layers align with the feedback that they are given."""
    torch.manual_seed(0)
    layers = [layer for _ in range(5) for layer in (Dense(12, 12), Rectify())]
    net, loss = Chain(Dense(8, 12), Rectify(), *layers, Dense(12, 2)), SquaredError()
    rule, optimizer = prepared(DirectFeedbackAlignment(), net), SGD(net.param(), lr=0.005)
    x = torch.randn(64, 8)
    t = torch.stack([x[:, :4].sum(1), x[:, 4:].sum(1)], 1)
    losses, cosines = [], []
    for _ in range(600):
        gradients(net, loss, x, t)
        true = {name: held.grad for name, held in net.named_param()}
        value, _, found = stepped(rule, net, x, t)
        losses.append(float(value))
        cosines.append(float(cosine({"0": found["0.weight"]}, {"0": true["0.weight"]})))
        for name, held in net.named_param():
            held.grad = found[name]
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.15 * losses[0]
    assert sum(cosines[:10]) / 10 < 0.3 < sum(cosines[-100:]) / 100


def test_it_goes_on_from_its_state():
    net, x, t, _ = three_layers()
    rule, other = (prepared(DirectFeedbackAlignment(seed=seed), net) for seed in (1, 2))
    assert rule.state_dict() == {"matrices": []}
    _, _, wanted = stepped(rule, net, x, t)
    _, _, drawn = stepped(other, net, x, t)
    assert not torch.equal(wanted["0.weight"], drawn["0.weight"])
    other.load_state_dict(rule.state_dict())
    _, _, found = stepped(other, net, x, t)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_what_is_refused():
    rule, (net, x, t, _) = DirectFeedbackAlignment(), three_layers()
    with pytest.raises(ArgumentError, match=r"DirectFeedbackAlignment: the model must be a chain .* got Detour; "):
        rule.prepare(Detour(Chain(Dense(3, 3), Dense(3, 3))), SquaredError())
    stepped(prepared(rule, net), net, x, t)
    wider = prepared(DirectFeedbackAlignment(), Chain(Dense(3, 9), Dense(9, 4), Dense(4, 2)).double())
    wider.load_state_dict(rule.state_dict())
    with pytest.raises(StateError, match=r"matrices must have the sizes .* \[\(2, 9\), \(2, 4\)\], got \[\(2, 5\)"):
        wider.gradients(None, SquaredError(), x, t)


class Squash(Rectify):
    """y = tanh(x)"""

    def forward(self, x):
        y = x.tanh()
        return y, y

    def backward(self, d_y, y):
        return d_y * (1 - y * y)


def test_the_error_is_that_in_front_of_the_layers_at_the_end_that_have_no_parameters():
    net, x, t, w = three_layers()
    net = Chain(*net.layers, Squash())
    rule = prepared(DirectFeedbackAlignment(), net)
    _, _, found = stepped(rule, net, x, t)
    b1, b2 = rule.state_dict()["matrices"]
    h1, h2, z = outputs(w, x)
    y = z.tanh()
    e = 2 * (y - t) / t.numel() * (1 - y * y)
    close(found, of_layers(e @ b1 * (h1 > 0), e @ b2 * (h2 > 0), e, x, h1, h2))


def test_a_copy_leaves_out_the_gradients_of_inputs_too():
    net, x, t, _ = three_layers()
    rule = prepared(DirectFeedbackAlignment(), net)
    stepped(rule, net, x, t)
    net, rule = deepcopy((net, rule))
    returned = []
    for layer in net:
        if layer.param():
            vars(layer)["backward"] = lambda *given, of=layer.backward: returned.append(of(*given))
    rule.gradients(net, SquaredError(), x, t)
    assert returned == [None, None, None]
