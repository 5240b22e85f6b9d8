"""Sign-symmetric feedback is its paper's formula, and closer to the gradient than random feedback."""

from itertools import pairwise

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.train import gradients
from mytorch.train.rules import FeedbackAlignment, SignSymmetric

pytestmark = pytest.mark.numbers


def network(*sizes):
    layers = [layer for pair in pairwise(sizes) for layer in (Dense(*pair), Rectify())]
    return Chain(*layers[:-1]).double()


def grads_of(net):
    found = {name: held.grad for name, held in net.named_param()}
    net.zero_grad()
    return found


def test_it_is_the_formula_on_two_layers_and_follows_the_signs():
    net = network(3, 5, 2)
    x, t = torch.randn(7, 3).double(), torch.randn(7, 2).double()
    rule = SignSymmetric()
    rule.prepare(net, SquaredError())
    m = rule.state_dict()["feedback"]["2.weight"].abs()
    for _ in range(2):
        rule.gradients(net, SquaredError(), x, t)
        found, w = grads_of(net), net.state_dict()
        h = (x @ w["0.weight"].T + w["0.bias"]).clamp(min=0)
        d2 = 2 * (h @ w["2.weight"].T + w["2.bias"] - t) / t.numel()
        d1 = d2 @ (m * w["2.weight"].sign()) * (h > 0)
        wanted = {"0.weight": d1.T @ x, "0.bias": d1.sum(0), "2.weight": d2.T @ h, "2.bias": d2.sum(0)}
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
        net.layers[2].weight.value.neg_()


def test_the_signs_bring_it_closer_to_the_gradient_than_random_feedback():
    """Liao et al. 2016: signs matter, magnitudes do not."""
    cosines = {SignSymmetric: [], FeedbackAlignment: []}
    for seed in range(10):
        torch.manual_seed(seed)
        net = network(20, 30, 30, 30, 5)
        x, t = torch.randn(64, 20).double(), torch.randn(64, 5).double()
        gradients(net, SquaredError(), x, t)
        true = grads_of(net)["0.weight"].flatten()
        for build, found in cosines.items():
            rule = build(seed=seed)
            rule.prepare(net, SquaredError())
            rule.gradients(net, SquaredError(), x, t)
            update = grads_of(net)["0.weight"].flatten()
            found.append(float(torch.nn.functional.cosine_similarity(update, true, dim=0)))
    assert min(cosines[SignSymmetric]) > 0.2
    assert abs(sum(cosines[FeedbackAlignment])) / 10 < 0.1


def test_it_learns_and_goes_on_from_its_state():
    net, loss = network(4, 16, 2), SquaredError()
    rule, optimizer = SignSymmetric(seed=1), SGD(net.param(), lr=0.1)
    rule.prepare(net, loss)
    x = torch.randn(32, 4).double()
    t = x[:, :2] * x[:, 2:]
    losses = []
    for _ in range(200):
        losses.append(float(rule.gradients(net, loss, x, t)[0]))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.3 * losses[0]
    other = SignSymmetric(seed=2)
    other.prepare(net, loss)
    other.load_state_dict(rule.state_dict())
    rule.gradients(net, loss, x, t)
    wanted = grads_of(net)
    other.gradients(net, loss, x, t)
    torch.testing.assert_close(grads_of(net), wanted, rtol=0, atol=0)
