"""What tests of learning rules share: a step of a rule, and a small net with the numbers of its forward."""

import torch
from toy_parts import Chain, Dense, Rectify, SquaredError


def prepared(rule, net, loss=None):
    rule.prepare(net, loss or SquaredError())
    return rule


def stepped(rule, net, x, t, loss=None):
    """The loss, the weight and the gradients of one step; the values of the net must be as before."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    net.zero_grad()
    value, weight = rule.gradients(net, loss or SquaredError(), x, t)
    found = {name: held.grad for name, held in net.named_param()}
    net.zero_grad()
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(state, torch.get_rng_state())
    assert all("backward" not in vars(module) and held.trainable for module in net.modules() for held in net.param())
    return value, weight, found


def three_layers(seed=1, rows=7):
    """A net of two hidden layers in float64, inputs, targets, and what its layers put out."""
    torch.manual_seed(seed)
    net = Chain(Dense(3, 5), Rectify(), Dense(5, 4), Rectify(), Dense(4, 2)).double()
    for layer in (net.layers[0], net.layers[2], net.layers[4]):
        layer.bias.value = 0.3 * torch.randn(layer.out_features).double()
    return net, torch.randn(rows, 3).double(), torch.randn(rows, 2).double(), net.state_dict()


def outputs(w, x):
    """h1, h2 and the prediction of `three_layers`."""
    h1 = (x @ w["0.weight"].T + w["0.bias"]).clamp(min=0)
    h2 = (h1 @ w["2.weight"].T + w["2.bias"]).clamp(min=0)
    return h1, h2, h2 @ w["4.weight"].T + w["4.bias"]


def of_layers(d1, d2, d3, x, h1, h2):
    """The gradients of `three_layers` from those of what its linear layers put out."""
    return {
        "0.weight": d1.T @ x,
        "0.bias": d1.sum(0),
        "2.weight": d2.T @ h1,
        "2.bias": d2.sum(0),
        "4.weight": d3.T @ h2,
        "4.bias": d3.sum(0),
    }


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def cosine(one, other):
    """Of the gradients of all parameters together."""
    flat = [torch.cat([grads[name].flatten() for name in sorted(grads)]) for grads in (one, other)]
    return float(torch.nn.functional.cosine_similarity(*flat, dim=0))
