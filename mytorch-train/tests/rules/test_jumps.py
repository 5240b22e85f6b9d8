"""Straight-through and surrogate gradients: the formulas, and what they train that backpropagation does not."""

import pytest
import torch
from by_hand import close, of_layers, prepared, stepped, three_layers
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.core import ArgumentError, Module
from mytorch.train import gradients
from mytorch.train.rules import StraightThrough, SurrogateGradient

pytestmark = pytest.mark.numbers

RULES = [
    pytest.param(StraightThrough(), torch.ones_like, id="straight through"),
    pytest.param(SurrogateGradient(), lambda u: 1 / (1 + 10 * u.abs()) ** 2, id="surrogate"),
    pytest.param(SurrogateGradient(slope=0.5), lambda u: 1 / (1 + 0.5 * u.abs()) ** 2, id="a wide surrogate"),
    pytest.param(SurrogateGradient(slope=0), torch.ones_like, id="a surrogate of slope 0"),
]


class Jump(Module):
    """y = 1 where x >= 0, else -1"""

    jump_derivative = staticmethod(torch.zeros_like)

    def forward(self, x):
        return 2 * (x >= 0).to(x.dtype) - 1, x

    def backward(self, d_y, x):
        return d_y * self.jump_derivative(x)


def jumping():
    net, x, t, w = three_layers()
    return Chain(net.layers[0], Jump(), net.layers[2], Jump(), net.layers[4]), x, t, w


@pytest.mark.parametrize(("rule", "slope"), RULES)
def test_it_is_the_formula_on_three_layers(rule, slope):
    net, x, t, w = jumping()
    value, weight, found = stepped(prepared(rule, net), net, x, t)
    u1 = x @ w["0.weight"].T + w["0.bias"]
    h1 = torch.where(u1 >= 0, 1.0, -1.0).double()
    u2 = h1 @ w["2.weight"].T + w["2.bias"]
    h2 = torch.where(u2 >= 0, 1.0, -1.0).double()
    y = h2 @ w["4.weight"].T + w["4.bias"]
    d3 = 2 * (y - t) / t.numel()
    d2 = d3 @ w["4.weight"] * slope(u2)
    d1 = d2 @ w["2.weight"] * slope(u1)
    close(found, of_layers(d1, d2, d3, x, h1, h2))
    close(value, (y - t).square().mean())
    assert weight == t.numel()


@pytest.mark.parametrize(("rule", "slope"), RULES)
def test_other_layers_go_back_as_they_state(rule, slope):
    """A net that also has a layer without a jump; and a layer that jumps in a layer that holds it."""
    torch.manual_seed(1)
    net = Chain(Chain(Dense(3, 4), Rectify()), Chain(Jump()), Dense(4, 2)).double()
    x, t = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    _, _, found = stepped(prepared(rule, net), net, x, t)
    gradients(net, SquaredError(), x, t)
    true = {name: held.grad for name, held in net.named_param()}
    close(found["2.weight"], true["2.weight"])
    assert (true["0.0.weight"] == 0).all()
    assert (found["0.0.weight"] != 0).any()


@pytest.mark.parametrize(
    "rule", [StraightThrough(), SurrogateGradient(slope=2.0)], ids=["straight through", "surrogate"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_binary_units_learn_what_backpropagation_leaves_as_it_was(rule, seed):
    """Binary hidden units come to say what two linear maps are, of which their first weights say little."""

    def trained(take):
        torch.manual_seed(seed)
        net = Chain(Dense(10, 16), Jump(), Dense(16, 2)).double()
        x = torch.randn(200, 10).double()
        t = (x @ torch.randn(10, 2).double() / 1.5).tanh()
        prepared(rule, net)
        optimizer, losses, first = SGD(net.param(), lr=0.05), [], net.layers[0].weight.value.clone()
        for _ in range(400):
            losses.append(float(take(net, SquaredError(), x, t)[0]))
            optimizer.step()
            net.zero_grad()
        return sum(losses[-50:]) / 50, torch.equal(first, net.layers[0].weight.value)

    (without, kept), (with_rule, kept_by_rule) = trained(gradients), trained(rule.gradients)
    assert (kept, kept_by_rule) == (True, False)
    assert with_rule < 0.6 * without


@pytest.mark.parametrize("rule", [StraightThrough(), SurrogateGradient()], ids=["straight through", "surrogate"])
def test_a_net_without_a_jump_is_refused(rule):
    name = type(rule).__name__
    with pytest.raises(ArgumentError, match=f"{name}: the model must have a layer that jumps, .*got Dense, Rectify;"):
        rule.prepare(Chain(Dense(3, 4), Rectify(), Dense(4, 2)), SquaredError())


def test_settings_that_do_not_fit():
    with pytest.raises(ArgumentError, match="SurrogateGradient: slope must be at least 0, got -1"):
        SurrogateGradient(slope=-1)
