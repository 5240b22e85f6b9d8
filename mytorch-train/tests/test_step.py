"""One training step."""

import pytest
import torch
from toy_parts import SGD, Both, Chain, Dense, Rectify, SquaredError, network

from mytorch.core import ArgumentError, ContractError, Module, ShapeError
from mytorch.train import gradients, step


def test_gradients_are_those_of_autograd():
    net, x, t = network(), torch.randn(5, 2), torch.randn(5, 2)
    value, weight = gradients(net, SquaredError(), x, t)
    twin = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    twin.load_state_dict(net.state_dict())
    expected = torch.nn.functional.mse_loss(twin(x), t)
    expected.backward()
    torch.testing.assert_close(value, expected.detach())
    assert weight == 10  # elements, as the loss says
    for parameter, reference in zip(net.param(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, reference.grad)


def test_a_loss_that_says_nothing_of_weights_counts_rows():
    class Plain(Module):
        """A loss that is a module and no Loss."""

        def forward(self, prediction, target):
            return (prediction - target).square().mean(), prediction - target

        def backward(self, d_value, difference):
            return 2 * d_value * difference / difference.numel()

    given = torch.randn(5, 2), torch.randn(5, 2)
    assert gradients(network(), Plain(), *given)[1] == 5


def test_gradients_add_up_over_micro_batches():
    net, x, t = network(), torch.randn(7, 2), torch.randn(7, 2)
    gradients(net, SquaredError("sum"), x, t)
    whole = [parameter.grad for parameter in net.param()]
    net.zero_grad()
    for rows in (slice(0, 3), slice(3, 7)):
        gradients(net, SquaredError("sum"), x[rows], t[rows])
    torch.testing.assert_close([parameter.grad for parameter in net.param()], whole)


def test_step_changes_the_weights_and_leaves_no_gradient():
    net = network()
    before = [parameter.value.clone() for parameter in net.param()]
    with torch.inference_mode():
        value, weight = step(net, SquaredError(), SGD(net.param()), torch.randn(5, 2), torch.randn(5, 2))
    assert value.dim() == 0
    assert weight == 10
    assert all(parameter.grad is None for parameter in net.param())
    assert not any(torch.equal(a, parameter.value) for a, parameter in zip(before, net.param(), strict=True))


@pytest.mark.parametrize("kind", [tuple, list])
def test_step_takes_several_inputs(kind):
    net = Both(Dense(2, 1), Dense(3, 1))
    inputs = kind((torch.randn(4, 2), torch.randn(4, 3)))
    first, _ = step(net, SquaredError(), SGD(net.param()), inputs, torch.randn(4, 1))
    assert first.isfinite()


def test_an_error_names_the_path_to_the_layer():
    net = Chain(Dense(2, 4), Chain(Rectify(), Dense(3, 2)))
    with pytest.raises(ShapeError, match=r"Dense: last axis of x must be 3, got 4 in a tensor of \(5, 4\)") as info:
        step(net, SquaredError(), SGD(net.param()), torch.randn(5, 2), torch.randn(5, 2))
    assert info.value.__notes__ == ["in layer '1.1' (Dense) of Chain"]


def test_a_loss_that_is_no_number_is_refused():
    net = network()
    with pytest.raises(
        ArgumentError, match=r"SquaredError: the value to train on must be one number, got a tensor of"
    ):
        step(net, SquaredError("none"), SGD(net.param()), torch.randn(5, 2), torch.randn(5, 2))


class Bare(Module):
    """Returns what is no pair."""

    def __init__(self, what):
        self.what = what

    def forward(self, x, target=None):
        return self.what

    def backward(self, d_y, saved):
        return d_y


@pytest.mark.parametrize("what", [torch.ones(2, 2), torch.tensor(1.0), None, [1, 2]])
def test_a_net_or_loss_that_returns_no_pair_is_refused(what):
    inputs, targets = torch.randn(2, 2), torch.randn(2, 2)
    text = r"Bare: forward must return a pair \(output, saved\), got"
    with pytest.raises(ContractError, match=text):  # a tensor of two rows could be taken for one
        gradients(Bare(what), SquaredError(), inputs, targets)
    with pytest.raises(ContractError, match=text):
        gradients(network(), Bare(what), inputs, targets)


def test_a_loss_whose_value_is_no_tensor_is_refused():
    with pytest.raises(ArgumentError, match="Bare: the value to train on must be a tensor without axes, got a float"):
        gradients(network(), Bare((1.0, None)), torch.randn(2, 2), torch.randn(2, 2))


def test_a_loss_of_three_inputs_is_refused():
    class Triplet(SquaredError):
        def forward(self, anchor, positive, negative):
            raise NotImplementedError

    net = network()
    text = (
        "^Triplet: forward must take a prediction and a target, got one with other arguments: missing .* 'negative'; "
    )
    with pytest.raises(ArgumentError, match=text):
        step(net, Triplet(), SGD(net.param()), torch.ones(4, 2), torch.ones(4, 1))
