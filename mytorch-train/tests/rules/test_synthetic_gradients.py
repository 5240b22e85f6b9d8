"""Synthetic gradients are their paper's formula, come to be the true ones, and train a net."""

import pytest
import torch
from by_hand import close, cosine, of_layers, outputs, prepared, stepped, three_layers
from toy_parts import SGD, Both, Chain, Dense, Rectify, SquaredError

from mytorch.core import ArgumentError
from mytorch.train import gradients
from mytorch.train.rules import SyntheticGradients

pytestmark = pytest.mark.numbers


def models_of(rule):
    return [(model["weight"].clone(), model["bias"].clone()) for model in rule.state_dict()["models"]]


def test_it_is_the_formula_on_three_layers():
    net, x, t, w = three_layers()
    rule = prepared(SyntheticGradients(lr=0.1), net)
    stepped(rule, net, x, t)
    for model in rule.state_dict()["models"]:  # the first step leaves M_1 at 0
        model["weight"].add_(0.1 * torch.randn_like(model["weight"]))
    (m1, c1), (m2, c2) = models_of(rule)
    value, weight, found = stepped(rule, net, x, t)

    h1, h2, y = outputs(w, x)
    d3 = 2 * (y - t) / t.numel()
    s1, s2 = torch.cat([h1, t], 1), torch.cat([h2, t], 1)
    g1, g2 = (s1 @ m1.T + c1) / 7, (s2 @ m2.T + c2) / 7
    close(found, of_layers(g1 * (h1 > 0), g2 * (h2 > 0), d3, x, h1, h2))
    close(value, (y - t).square().mean())
    assert weight == t.numel()
    e2, e1 = g2 - d3 @ w["4.weight"], g1 - (g2 * (h2 > 0)) @ w["2.weight"]
    close(models_of(rule)[1], (m2 - 0.1 * e2.T @ s2, c2 - 0.1 * e2.sum(0)))
    close(models_of(rule)[0], (m1 - 0.1 * e1.T @ s1, c1 - 0.1 * e1.sum(0)))


def test_blocks_wait_for_their_models():
    """The paper begins with models that give 0."""
    net, x, t, _ = three_layers()
    _, _, found = stepped(prepared(SyntheticGradients(), net), net, x, t)
    assert (found["0.weight"] == 0).all()
    assert (found["2.weight"] == 0).all()
    assert (found["4.weight"] != 0).any()


def test_a_model_learns_the_true_gradient_where_it_is_linear():
    """Of linear layers and the squared error, the gradient is a linear function of activity and target."""
    torch.manual_seed(1)
    net = Chain(Dense(3, 4), Dense(4, 2)).double()
    rule = prepared(SyntheticGradients(lr=0.1), net)
    for _ in range(2000):
        x, t = torch.randn(16, 3).double(), torch.randn(16, 2).double()
        _, _, found = stepped(rule, net, x, t)
    gradients(net, SquaredError(), x, t)
    true = {name: held.grad for name, held in net.named_param()}
    assert cosine(found, true) > 0.9999
    torch.testing.assert_close(found["0.weight"], true["0.weight"], rtol=0.02, atol=0.01)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_net_learns(seed):
    torch.manual_seed(seed)
    net = Chain(Dense(4, 20), Rectify(), Dense(20, 20), Rectify(), Dense(20, 1)).double()
    x = torch.randn(100, 4).double()
    t = (x[:, :1] * x[:, 1:2]).tanh()
    rule, optimizer, losses = prepared(SyntheticGradients(lr=0.02), net), SGD(net.param(), lr=0.1), []
    for _ in range(600):
        losses.append(float(rule.gradients(net, SquaredError(), x, t)[0]))
        optimizer.step()
        net.zero_grad()
    assert losses[-1] < 0.3 * losses[0]


def test_classes_are_told_by_a_one_in_their_place():
    torch.manual_seed(1)
    net, loss = Chain(Dense(3, 4), Dense(4, 3)).double(), Classes()
    x, t = torch.randn(5, 3).double(), torch.tensor([0, 2, 1, 1, 0])
    rule = prepared(SyntheticGradients(lr=0.1), net, loss)
    stepped(rule, net, x, t, loss)
    (model,) = models_of(rule)
    assert model[0].shape == (4, 4 + 3)
    h = x @ net.layers[0].weight.value.T
    wanted = -0.1 * (0 - loss_gradient_of(net, x, t) @ net.layers[1].weight.value).T
    close(model[0], wanted @ torch.cat([h, torch.eye(3).double()[t]], 1))


class Classes(SquaredError):
    """The squared error of scores from 1 for the class and 0 for others."""

    outputs = "scores"

    def forward(self, prediction, target):
        return super().forward(prediction, torch.eye(prediction.shape[1]).to(prediction.dtype)[target])


def loss_gradient_of(net, x, t):
    loss = Classes()
    return loss.backward(1.0, loss.forward(net.forward(x)[0], t)[1])


def test_a_state_goes_on_to_the_bit():
    net, x, t, _ = three_layers()
    rule = prepared(SyntheticGradients(lr=0.1), net)
    for _ in range(3):
        stepped(rule, net, x, t)
    fresh = prepared(SyntheticGradients(lr=0.1), net)
    fresh.load_state_dict(rule.state_dict())
    for _ in range(2):
        one, other = stepped(rule, net, x, t)[2], stepped(fresh, net, x, t)[2]
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert (one["0.weight"] != 0).any()


def test_refusals():
    with pytest.raises(ArgumentError, match=r"SyntheticGradients: the model must be a chain of layers.*got Both"):
        SyntheticGradients().prepare(Both(Dense(3, 2), Dense(3, 2)), SquaredError())
    with pytest.raises(ArgumentError, match="SyntheticGradients: lr must be at least 0, got -1"):
        SyntheticGradients(lr=-1)
