"""Rules of forward passes alone are their papers' formulas, find the gradient on the mean, and change nothing."""

import pytest
import torch
from sharing_nets import NETS
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError, Loss
from mytorch.train import gradients
from mytorch.train.rules import EvolutionStrategies, ZerothOrder

pytestmark = pytest.mark.numbers
BOTH = pytest.mark.parametrize("build", [EvolutionStrategies, ZerothOrder])


def network():
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2)).double()


def batch(rows=6):
    return torch.randn(rows, 3).double(), torch.randn(rows, 2).double()


def prepared(rule, net):
    rule.prepare(net, SquaredError())
    return rule


def grads_of(net):
    found = torch.cat([held.grad.flatten() for held in net.param()])
    net.zero_grad()
    return found


def directions(net, seed, count):
    """The directions of a step, as the data sheets say that they are drawn."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for drawn in torch.randint(2**62, (count,), generator=generator).tolist():
        numbers = torch.Generator().manual_seed(drawn)
        found.append(
            [torch.randn(held.value.shape, dtype=held.value.dtype, generator=numbers) for held in net.param()]
        )
    return found


def loss_at(net, x, t, direction, distance):
    values = [held.value for held in net.param()]
    for held, value, z in zip(net.param(), values, direction, strict=True):
        held.value = value + distance * z
    found = SquaredError()(net(x), t)
    for held, value in zip(net.param(), values, strict=True):
        held.value = value
    return found


def flat(direction):
    return torch.cat([z.flatten() for z in direction])


def test_zeroth_order_is_the_formula():
    net, (x, t) = network(), batch()
    rule = prepared(ZerothOrder(epsilon=0.01, samples=3, seed=5), net)
    value, weight = rule.gradients(net, SquaredError(), x, t)
    found, wanted, losses = grads_of(net), 0, []
    for z in directions(net, 5, 3):
        plus, minus = (loss_at(net, x, t, z, distance) for distance in (0.01, -0.01))
        wanted = wanted + (plus - minus) / 0.02 * flat(z) / 3
        losses += [plus, minus]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(value, torch.stack(losses).mean(), rtol=0, atol=1e-12)
    assert weight == SquaredError().weight_of(t, t)


def test_evolution_strategies_are_the_formula():
    net, (x, t) = network(), batch()
    rule = prepared(EvolutionStrategies(pairs=4, sigma=0.2, seed=5), net)
    value, _ = rule.gradients(net, SquaredError(), x, t)
    found, drawn = grads_of(net), directions(net, 5, 4)
    losses = torch.stack([loss_at(net, x, t, z, distance) for z in drawn for distance in (0.2, -0.2)])
    ranks = [int((losses < one).sum()) / 7 - 0.5 for one in losses]
    wanted = sum((ranks[2 * at] - ranks[2 * at + 1]) * flat(z) for at, z in enumerate(drawn)) / (2 * 4 * 0.2)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(value, losses.mean(), rtol=0, atol=1e-12)


def test_the_mean_of_many_directions_is_the_gradient():
    net, (x, t) = network(), batch()
    gradients(net, SquaredError(), x, t)
    true = grads_of(net)
    for rule, least in ((ZerothOrder(samples=4000), 0.99), (EvolutionStrategies(pairs=4000, sigma=0.01), 0.98)):
        prepared(rule, net).gradients(net, SquaredError(), x, t)
        found = grads_of(net)
        assert torch.nn.functional.cosine_similarity(found, true, dim=0) > least
        if isinstance(rule, ZerothOrder):
            assert (found - true).norm() < 0.15 * true.norm()


@BOTH
@pytest.mark.parametrize("shared", NETS)
def test_nothing_but_gradients_changes_and_no_backward_is_called(build, shared):
    torch.manual_seed(1)
    net = NETS[shared]()
    rule = prepared(build(), net)
    for module in net.modules():
        module.backward = None
    before = {name: value.clone() for name, value in net.state_dict().items()}
    held = [parameter.value for parameter in net.param()]
    rule.gradients(net, SquaredError(), torch.randn(5, 3), torch.randn(5, 2))
    after = net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items() if "seen" not in name)
    assert all(parameter.value is value for parameter, value in zip(net.param(), held, strict=True))
    assert all((parameter.grad is not None) == parameter.trainable for parameter in net.param())


@BOTH
def test_every_evaluation_of_a_step_draws_the_same_and_counts_one_batch(build):
    net = Chain(Dense(3, 2), Noise())
    rule = prepared(build(), net)
    seen, (x, t) = [], (torch.randn(5, 3), torch.randn(5, 2))
    inner = net.layers[1].forward
    net.layers[1].forward = lambda x: (seen.append(inner(x)[0] - x), inner(x))[1]
    torch.manual_seed(0)
    rule.gradients(net, SquaredError(), x, t)
    assert int(net.layers[1].seen.value) == 2  # of the first evaluation, which the lambda calls twice
    assert all(torch.allclose(noise, seen[0], atol=1e-6) for noise in seen)


@BOTH
def test_it_learns_and_goes_on_from_its_state(build):
    net, loss = network(), SquaredError()
    rule, optimizer = prepared(build(seed=1), net), SGD(net.param(), lr=0.02)
    x, _ = batch(32)
    t = x[:, :2] - x[:, 1:]
    losses = []
    for _ in range(400):
        losses.append(float(rule.gradients(net, loss, x, t)[0]))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.5 * losses[0]
    other = prepared(build(seed=2), net)
    other.load_state_dict(rule.state_dict())
    rule.gradients(net, loss, x, t)
    wanted = grads_of(net)
    other.gradients(net, loss, x, t)
    torch.testing.assert_close(grads_of(net), wanted, rtol=0, atol=0)


class Ignoring(Loss):
    """The loss of a batch whose targets are all ignored."""

    def forward(self, prediction, target):
        return torch.tensor(torch.nan), None

    def weight_of(self, prediction, target):
        return 0


@BOTH
def test_a_batch_of_nothing_but_ignored_targets_moves_nothing(build):
    net = network()
    rule = prepared(build(), net)
    value, weight = rule.gradients(net, Ignoring(), *batch())
    assert (bool(value.isnan()), weight) == (True, 0)
    if build is ZerothOrder:
        assert not grads_of(net).any()


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: ZerothOrder(epsilon=0), "ZerothOrder: epsilon must be at least 1e-08, got 0"),
        (lambda: ZerothOrder(samples=0), "ZerothOrder: samples must be a whole number of at least 1, got 0"),
        (lambda: EvolutionStrategies(sigma=-1.0), "EvolutionStrategies: sigma must be at least 1e-08"),
        (lambda: EvolutionStrategies(pairs=True), "EvolutionStrategies: pairs must be a whole number"),
        (lambda: EvolutionStrategies(seed=-1), "EvolutionStrategies: seed must"),
    ],
)
def test_what_is_refused(build, text):
    with pytest.raises(ArgumentError, match=text):
        build()


@BOTH
def test_a_net_without_a_parameter_to_train_is_refused(build):
    with pytest.raises(ArgumentError, match=r"the net must have a parameter to train, got none in Rectify"):
        build().prepare(Rectify(), SquaredError())


def test_equal_losses_and_those_that_are_not_a_number_move_no_weight():
    class Constant(SquaredError):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def forward(self, prediction, target):
            return prediction.new_tensor(self.value), (prediction, target)

    net, (x, t) = network(), batch()
    for value in (1.0, float("nan"), float("inf")):
        prepared(EvolutionStrategies(pairs=3), net).gradients(net, Constant(value), x, t)
        assert not grads_of(net).any()
