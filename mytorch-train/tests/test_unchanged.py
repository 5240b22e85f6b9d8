"""Nobody notices that a step was tried."""

import copy

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, Rectify, Shift, SquaredError, network

from mytorch.core import Buffer, Module, ShapeError
from mytorch.train import explain, gradients, step
from mytorch.train.unchanged import unchanged


class Restless(Module):
    """Changes everything that it can: buffer, attribute, generator and torch's random state."""

    def __init__(self):
        self.seen, self.table = Buffer(torch.zeros(2)), Buffer(torch.ones(1).expand(3))
        self.count, self.generator = 0, torch.Generator().manual_seed(7)

    def forward(self, x):
        self.seen.value += 1
        self.seen.value = self.seen.value * 2
        self.count += 1
        self.extra = torch.rand(1)
        noise = torch.rand(x.shape, generator=self.generator)
        return x + noise, None

    def backward(self, d_y, saved):
        self.count += 1
        return d_y


def state_of(net, optimizer):
    """All that must be as it was, values and objects."""
    modules = list(net.modules())
    held = [one for _, one in net.named_state()]
    objects = [(id(one.value), id(getattr(one, "grad", None))) for one in held]
    tensors = [one.value.clone() for one in held] + [one.grad.clone() for one in net.param() if one.grad is not None]
    attributes = [{name: id(value) for name, value in vars(module).items()} for module in modules]
    states = {**copy.deepcopy(optimizer.state_dict()), "type": None}
    return objects, tensors, attributes, states, torch.get_rng_state(), net[4].generator.get_state()


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_model_optimizer_and_random_state_are_put_back(fails, momentum):
    class Listed(Chain):
        def __getitem__(self, index):
            return self.layers[index]

    net, loss = Listed(Dense(2, 3), Noise(), Rectify(), Shift(torch.ones(3)), Restless(), Dense(3, 1)), SquaredError()
    optimizer, x, t = SGD(net.param(), 0.1, momentum=momentum), torch.randn(4, 2), torch.randn(4, 1)
    step(net, loss, optimizer, x, t)
    gradients(net, loss, x, t)  # waits for a step
    net.eval()
    net[2].training = True
    inputs, misfit = x.clone(), torch.randn(4, 2)
    before = state_of(net, optimizer)
    if fails:
        with pytest.raises(ShapeError, match="SquaredError: target must have the shape of the prediction"):
            explain(net, loss, x, misfit, optimizer)
    else:
        assert explain(net, loss, x, t, optimizer).of("update")
    torch.testing.assert_close(state_of(net, optimizer), before, rtol=0, atol=0)
    assert torch.equal(x, inputs)
    assert "forward" not in vars(net) | vars(loss)


def test_parameters_of_another_model_in_the_optimizer_are_left_alone():
    net, other = network(), Dense(2, 1)
    gradients(other, SquaredError(), torch.randn(3, 2), torch.randn(3, 1))
    weight, gradient = other.weight.value.clone(), other.weight.grad
    explain(net, SquaredError(), torch.randn(3, 2), torch.randn(3, 2), SGD([*net.param(), *other.param()]))
    assert torch.equal(other.weight.value, weight)
    assert other.weight.grad is gradient


def test_a_tensor_that_cannot_take_its_values_back_keeps_no_other_from_it():
    net = network()
    parameters = list(net.param())
    before = [parameter.value.clone() for parameter in parameters]

    def change():
        with unchanged(net, SquaredError()):
            for parameter in parameters:
                parameter.value.add_(1)
            parameters[0].value.resize_(1)

    with pytest.raises(RuntimeError, match="shape"):
        change()
    assert all(torch.equal(one.value, value) for one, value in zip(parameters[1:], before[1:], strict=True))
