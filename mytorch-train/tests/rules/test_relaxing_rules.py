"""Predictive coding and equilibrium propagation: the formulas step by step, and backpropagation as their limit."""

from itertools import pairwise

import pytest
import torch
from by_hand import close, cosine, of_layers, outputs, prepared, stepped, three_layers
from toy_parts import SGD, Both, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError
from mytorch.train import gradients
from mytorch.train.rules import EquilibriumPropagation, PredictiveCoding

pytestmark = pytest.mark.numbers

BOTH = [PredictiveCoding, EquilibriumPropagation]
SIZES = {
    PredictiveCoding: [{"variance": value} for value in (1e2, 1e3, 1e4)],
    EquilibriumPropagation: [{"nudge": value} for value in (1e-2, 1e-3, 1e-4)],
}
"""Settings ever nearer to the limit."""

each = pytest.mark.parametrize("kind", BOTH)


def true_gradients(net, x, t, loss=None):
    net.zero_grad()
    gradients(net, loss or SquaredError(), x, t)
    found = {name: held.grad for name, held in net.named_param()}
    net.zero_grad()
    return found


def test_predictive_coding_is_the_formula():
    net, x, t, w = three_layers()
    value, weight, found = stepped(prepared(PredictiveCoding(variance=2.0, steps=3, rate=0.3), net), net, x, t)
    f1, f2, y = outputs(w, x)
    s1, s2 = f1, f2
    for _ in range(3):
        below, above, out = f1, (s1 @ w["2.weight"].T + w["2.bias"]).clamp(min=0), s2 @ w["4.weight"].T + w["4.bias"]
        e1, e2 = s1 - below, s2 - above
        d_cost = 2 * (out - t) / 2.0  # of the summed squared errors, over the variance
        s1, s2 = (
            s1 - 0.3 * (e1 - (e2 * (above > 0)) @ w["2.weight"]),
            s2 - 0.3 * (e2 + d_cost @ w["4.weight"]),
        )
    above, out = (s1 @ w["2.weight"].T + w["2.bias"]).clamp(min=0), s2 @ w["4.weight"].T + w["4.bias"]
    scale = 2.0 / t.numel()
    d1, d2 = -(s1 - f1) * (f1 > 0) * scale, -(s2 - above) * (above > 0) * scale
    close(found, of_layers(d1, d2, 2 * (out - t) / t.numel(), x, s1, s2))
    close(value, (y - t).square().mean())
    assert weight == t.numel()


def test_equilibrium_propagation_is_the_formula():
    net, x, t, w = three_layers()
    value, weight, found = stepped(prepared(EquilibriumPropagation(nudge=0.4, steps=3, rate=0.3), net), net, x, t)
    f1, f2, y = outputs(w, x)
    s1, s2, s3 = f1, f2, y
    for _ in range(3):
        above, out = (s1 @ w["2.weight"].T + w["2.bias"]).clamp(min=0), s2 @ w["4.weight"].T + w["4.bias"]
        e1, e2, e3 = s1 - f1, s2 - above, s3 - out
        s1, s2, s3 = (
            s1 - 0.3 * (e1 - (e2 * (above > 0)) @ w["2.weight"]),
            s2 - 0.3 * (e2 - e3 @ w["4.weight"]),
            s3 - 0.3 * (e3 + 0.4 * 2 * (s3 - t)),
        )
    above, out = (s1 @ w["2.weight"].T + w["2.bias"]).clamp(min=0), s2 @ w["4.weight"].T + w["4.bias"]
    scale = 1 / (0.4 * t.numel())
    d1, d2, d3 = -(s1 - f1) * (f1 > 0) * scale, -(s2 - above) * (above > 0) * scale, -(s3 - out) * scale
    close(found, of_layers(d1, d2, d3, x, s1, s2))
    close(value, (y - t).square().mean())
    assert weight == t.numel()


def test_the_update_of_equilibrium_propagation_is_the_slope_of_the_energy():
    """d E / d weights at the nudged states, less that at the free ones, over the nudge: by finite differences."""
    net, x, t, w = three_layers()
    rule = prepared(EquilibriumPropagation(nudge=0.4, steps=5, rate=0.2), net)
    seen = []
    learn = type(rule._blocks[0]).learn
    for block in rule._blocks:
        block.learn = lambda d_y, saved, block=block: (seen.append((d_y, saved[0])), learn(block, d_y, saved))
    _, _, found = stepped(rule, net, x, t)
    _, (_, s1), (d3, s2) = seen
    nudge = 0.4 * t.numel()
    s3 = -d3 * nudge + (s2 @ w["4.weight"].T + w["4.bias"])  # from its error

    def energy(weights):
        h1 = (x @ weights["0.weight"].T + weights["0.bias"]).clamp(min=0)
        h2 = (s1 @ weights["2.weight"].T + weights["2.bias"]).clamp(min=0)
        y = s2 @ weights["4.weight"].T + weights["4.bias"]
        return sum((s - h).square().sum() / 2 for s, h in ((s1, h1), (s2, h2), (s3, y)))

    for name, at in (("0.weight", (1, 2)), ("2.bias", (3,)), ("4.weight", (1, 0))):
        near = {sign: {key: value.clone() for key, value in w.items()} for sign in (1, -1)}
        for sign, moved in near.items():
            moved[name][at] += sign * 1e-5
        slope = (energy(near[1]) - energy(near[-1])) / 2e-5
        torch.testing.assert_close(found[name][at], slope / nudge, rtol=1e-6, atol=1e-9)


@each
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_backpropagation_is_the_limit(kind, seed):
    """The difference falls in proportion, as the papers say, and the angle to the true gradient with it."""
    net, x, t, _ = three_layers(seed)
    for held in net.param():
        held.value.mul_(0.6)  # so that states settle fast
    true = true_gradients(net, x, t)
    size = max(float(grad.norm()) for grad in true.values())
    differences, angles = [], []
    for settings in SIZES[kind]:
        _, _, found = stepped(prepared(kind(**settings, steps=600, rate=0.1), net), net, x, t)
        differences.append(max(float((found[name] - true[name]).norm()) for name in true) / size)
        angles.append(1 - cosine(found, true))
    assert differences[0] > 1e-3
    assert differences[-1] < 2e-3
    for one, nearer in pairwise(differences):
        assert nearer < 0.3 * one
    assert angles[-1] < 1e-6


@each
def test_in_the_limit_with_a_summed_loss_too(kind):
    net, x, t, _ = three_layers()
    loss = SquaredError("sum")
    true = true_gradients(net, x, t, loss)
    rule = kind(**SIZES[kind][-1], steps=400, rate=0.1)
    _, _, found = stepped(prepared(rule, net, loss), net, x, t, loss)
    for name, grad in true.items():
        torch.testing.assert_close(found[name], grad, rtol=2e-3, atol=2e-3 * float(grad.abs().max()))


@each
def test_a_net_learns_with_the_settings_it_has(kind):
    torch.manual_seed(1)
    net = Chain(Dense(4, 20), Rectify(), Dense(20, 20), Rectify(), Dense(20, 1)).double()
    x = torch.randn(100, 4).double()
    t = (x[:, :1] * x[:, 1:2]).tanh()
    rule, optimizer, losses = prepared(kind(), net), SGD(net.param(), lr=0.1), []
    for _ in range(80):
        losses.append(float(rule.gradients(net, SquaredError(), x, t)[0]))
        optimizer.step()
        net.zero_grad()
    assert losses[-1] < 0.5 * losses[0]


@each
def test_states_that_do_not_settle_are_tried_with_half_the_rate(kind):
    """With large weights a descent of this rate diverges: the result is that of the first rate that does not."""
    net, x, t, _ = three_layers()
    for held in net.param():
        held.value.mul_(3)
    _, _, found = stepped(prepared(kind(rate=0.8), net), net, x, t)
    halved = [stepped(prepared(kind(rate=0.8 / 2**times), net), net, x, t)[2] for times in range(1, 6)]
    torch.testing.assert_close(halved[0], found, rtol=0, atol=0)
    assert not all(torch.equal(halved[-1][name], found[name]) for name in found)
    assert cosine(found, true_gradients(net, x, t)) > 0.5


@each
def test_one_layer_alone_learns(kind):
    torch.manual_seed(1)
    net, x, t = Chain(Dense(3, 2)).double(), torch.randn(5, 3).double(), torch.randn(5, 2).double()
    _, _, found = stepped(prepared(kind(**SIZES[kind][-1], steps=200), net), net, x, t)
    torch.testing.assert_close(found, true_gradients(net, x, t), rtol=1e-3, atol=1e-4)


@each
def test_what_is_frozen_stays_so(kind):
    net, x, t, _ = three_layers()
    net.layers[2].weight.trainable = False
    rule = prepared(kind(), net)
    rule.gradients(net, SquaredError(), x, t)
    assert not net.layers[2].weight.trainable
    assert net.layers[2].weight.grad is None
    assert net.layers[0].weight.grad is not None


@each
def test_layers_that_draw_are_refused_before_anything_changes(kind):
    net, x, t, _ = three_layers()
    net = Chain(*net.layers[:3], noise := Noise(), *net.layers[3:])
    rule, state = prepared(kind(), net), torch.get_rng_state()
    with pytest.raises(
        ArgumentError,
        match=rf"{kind.__name__}: layers must compute the same in every call of a step, got Noise \('3'\)",
    ):
        rule.gradients(net, SquaredError(), x, t)
    assert torch.equal(state, torch.get_rng_state())
    assert int(noise.seen.value) == 0
    assert noise.training
    assert all(held.grad is None for held in net.param())


@each
def test_refusals(kind):
    name = kind.__name__
    with pytest.raises(ArgumentError, match=f"{name}: the model must be a chain of layers.*got Both"):
        kind().prepare(Both(Dense(3, 2), Dense(3, 2)), SquaredError())
    with pytest.raises(ArgumentError, match=f"{name}: steps must be a whole number of at least 1, got 0"):
        kind(steps=0)
    with pytest.raises(ArgumentError, match=f"{name}: rate must be at least 0, got -1"):
        kind(rate=-1)
    first = {PredictiveCoding: "variance", EquilibriumPropagation: "nudge"}[kind]
    with pytest.raises(ArgumentError, match=f"{name}: {first} must be at least 1e-12, got 0"):
        kind(**{first: 0})
