"""Feedback alignment is its paper's formula, and trains as the paper found."""

import math

import pytest
import torch
from sharing_nets import NETS
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.core import Module, Parameter, StateError
from mytorch.train import gradients
from mytorch.train.rules import FeedbackAlignment, SignSymmetric

pytestmark = pytest.mark.numbers


def prepared(net, **options):
    rule = FeedbackAlignment(**options)
    rule.prepare(net, SquaredError())
    return rule


def grads_of(net):
    found = {name: held.grad for name, held in net.named_param()}
    net.zero_grad()
    return found


def test_it_is_the_formula_on_three_layers():
    torch.manual_seed(1)
    net = Chain(Dense(3, 5), Rectify(), Dense(5, 4), Rectify(), Dense(4, 2)).double()
    x, t = torch.randn(7, 3).double(), torch.randn(7, 2).double()
    rule = prepared(net)
    b = rule.state_dict()["feedback"]
    value, weight = rule.gradients(net, SquaredError(), x, t)
    found = grads_of(net)

    w = net.state_dict()
    h1 = (x @ w["0.weight"].T + w["0.bias"]).clamp(min=0)
    h2 = (h1 @ w["2.weight"].T + w["2.bias"]).clamp(min=0)
    e = h2 @ w["4.weight"].T + w["4.bias"] - t
    d3 = 2 * e / e.numel()
    d2 = d3 @ b["4.weight"] * (h2 > 0)
    d1 = d2 @ b["2.weight"] * (h1 > 0)
    wanted = {
        "0.weight": d1.T @ x,
        "0.bias": d1.sum(0),
        "2.weight": d2.T @ h1,
        "2.bias": d2.sum(0),
        "4.weight": d3.T @ h2,
        "4.bias": d3.sum(0),
    }
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(value, e.square().mean(), rtol=0, atol=1e-12)
    assert weight == SquaredError().weight_of(t, t)


@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_with_the_weights_for_matrices_it_is_backpropagation(build):
    """However parameters are used: what differs is the matrices alone, and the values are as before."""
    torch.manual_seed(3)
    net, (x, t) = build(), (torch.randn(5, 3), torch.randn(5, 2))
    rule = prepared(net)
    before = {name: value.clone() for name, value in net.state_dict().items() if "seen" not in name}
    torch.manual_seed(4)
    gradients(net, SquaredError(), x, t)
    wanted = grads_of(net)
    torch.manual_seed(4)
    rule.gradients(net, SquaredError(), x, t)
    drawn = grads_of(net)
    rule.load_state_dict({"feedback": {name: before[name] for name in rule.state_dict()["feedback"]}})
    torch.manual_seed(4)
    rule.gradients(net, SquaredError(), x, t)
    torch.testing.assert_close(grads_of(net), wanted, rtol=0, atol=0)
    assert any(g is not None and not torch.equal(g, wanted[name]) for name, g in drawn.items())
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all("backward" not in vars(module) for module in net.modules())


def test_an_error_in_a_backward_leaves_the_weights():
    net = Chain(Dense(3, 4), Dense(4, 2))
    rule, before = prepared(net), net.layers[1].weight.value
    with pytest.raises(Exception, match="shape"):
        rule.gradients(net, SquaredError(), torch.randn(5, 3), torch.randn(5, 9))
    net.layers[1].bias = 3  # whose backward fails while the matrix stands for the weight
    net.layers[1].forward = lambda x: (x @ before.T, x)
    with pytest.raises(AttributeError):
        rule.gradients(net, SquaredError(), torch.randn(5, 3), torch.randn(5, 2))
    assert net.layers[1].weight.value is before


def test_the_same_seed_draws_the_same_and_nothing_of_torchs_generator():
    net = Chain(Dense(30, 40), Dense(40, 2))
    state = torch.get_rng_state()
    first, again, other = (prepared(net, seed=seed).state_dict()["feedback"] for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first["0.weight"], other["0.weight"])
    bound = math.sqrt(6 / (30 + 40))
    assert 0.95 * bound < first["0.weight"].abs().max() <= bound
    assert abs(float(first["0.weight"].mean())) < 0.1 * bound
    assert first.keys() == {"0.weight", "1.weight"}


def test_matrices_of_another_net_are_refused():
    rule, other = prepared(Chain(Dense(3, 4))), prepared(Chain(Dense(3, 5)))
    before = rule.state_dict()["feedback"]["0.weight"].clone()
    with pytest.raises(StateError, match=r"Feedback: matrices must have the names .*\(4, 3\).*got.*\(5, 3\)"):
        rule.load_state_dict(other.state_dict())
    assert torch.equal(rule.state_dict()["feedback"]["0.weight"], before)


def angle(a, b):
    return math.degrees(math.acos(float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))))


def train_linear(rule, steps, seed):
    """A linear net of one hidden layer learns a linear map, as in the paper's first experiment: 30-20-10."""
    torch.manual_seed(seed)
    net, loss = Chain(Dense(30, 20, bias=False), Dense(20, 10, bias=False)).double(), SquaredError()
    for held in net.param():
        held.value.mul_(0.1)
    optimizer, target = SGD(net.param(), lr=0.5), torch.randn(10, 30).double() / math.sqrt(30)
    take = gradients
    if rule is not None:
        rule.prepare(net, loss)
        take = rule.gradients
    losses, angles = [], []
    for _ in range(steps):
        x = torch.randn(64, 30).double()
        t = x @ target.T
        if rule is not None:
            gradients(net, loss, x, t)
            true = grads_of(net)["0.weight"]
        losses.append(float(take(net, loss, x, t)[0]))
        if rule is not None:
            angles.append(angle(net.layers[0].weight.grad, true))
        optimizer.step()
        net.zero_grad()
    return losses, angles


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_weights_come_to_agree_with_the_matrices_and_the_loss_is_that_of_backpropagation(seed):
    """Lillicrap et al. 2016, figure 1: the angle falls far below 90 degrees, and the error goes as low."""
    losses, angles = train_linear(FeedbackAlignment(seed=seed), 200, seed)
    of_backpropagation, _ = train_linear(None, 200, seed)
    assert sum(angles[:3]) / 3 > 75
    assert max(angles[100:]) < 60
    assert max(losses[100:]) < 1e-3 * losses[0]
    assert losses[-1] < 1e-5 * losses[0]
    assert losses[30] < 2 * of_backpropagation[30]


class TiedAutoencoder(Module):
    """Encodes by a matrix and decodes by the same one, which it holds under two names."""

    def __init__(self, size):
        self.encoder = Parameter(torch.randn(size, size))
        self.decoder = self.encoder

    def forward(self, x):
        h = x @ self.encoder.value.T
        return h @ self.decoder.value, (x, h)

    def backward(self, d_y, saved):
        x, h = saved
        self.decoder.accumulate(h.T @ d_y)
        d_h = d_y @ self.decoder.value.T
        self.encoder.accumulate(d_h.T @ x)
        return d_h @ self.encoder.value


@pytest.mark.parametrize("kind", [FeedbackAlignment, SignSymmetric])
def test_a_layer_with_one_weight_under_two_names_keeps_it(kind):
    net = Chain(TiedAutoencoder(3), Dense(3, 2))
    before, rule = {name: value.clone() for name, value in net.state_dict().items()}, kind()
    rule.prepare(net, SquaredError())
    matrix = rule.state_dict()["feedback"]["0.encoder"].clone()
    rule.gradients(net, SquaredError(), torch.randn(5, 3), torch.randn(5, 2))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(rule.state_dict()["feedback"]["0.encoder"], matrix)
