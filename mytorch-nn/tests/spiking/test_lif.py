"""Leaky integrate-and-fire neurons against their equations, and against autograd with a function of its own."""

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import LIF
from mytorch.testing import declare_layer

SETTINGS = [(0.9, 1.0), (0.5, 0.3), (0.0, 1.0), (1.0, 0.5)]

settings = pytest.mark.parametrize(("decay", "threshold"), SETTINGS)


def by_definition(x, decay, threshold):
    """The potentials and the spikes, neuron by neuron and step by step."""
    potentials, spikes = torch.zeros_like(x), torch.zeros_like(x)
    for row in range(x.shape[0]):
        for neuron in range(x.shape[2]):
            u = y = 0.0
            for step in range(x.shape[1]):
                u = decay * u + x[row, step, neuron].item() - threshold * y
                y = float(u >= threshold)
                potentials[row, step, neuron], spikes[row, step, neuron] = u, y
    return potentials, spikes


class Jump(torch.autograd.Function):
    """A jump with a derivative that takes the place of its own."""

    @staticmethod
    def forward(context, distance):
        context.save_for_backward(distance)
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(context, d_y):
        (distance,) = context.saved_tensors
        return d_y * slope(distance)


def slope(distance):
    return 1 / (1 + 3 * distance.abs()) ** 2


def by_autograd(x, decay, threshold):
    u = y = torch.zeros_like(x[:, 0])
    spikes = []
    for step in range(x.shape[1]):
        u = decay * u + x[:, step] - threshold * y
        y = Jump.apply(u - threshold)
        spikes.append(y)
    return torch.stack(spikes, 1)


test_the_kit = declare_layer(LIF, (3, 4, 2), tags=("fixed_dimensions",))
test_the_kit_with_other_settings = declare_layer(lambda: LIF(0.4, 0.2), (2, 6, 5), tags=("fixed_dimensions",))


@settings
def test_the_equations(decay, threshold):
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    potentials, spikes = by_definition(x, decay, threshold)
    y, distances = LIF(decay, threshold).forward(x)
    assert torch.equal(y, spikes)
    assert 0 < y.mean() < 1
    torch.testing.assert_close(distances, potentials - threshold, rtol=1e-12, atol=1e-12)


@settings
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_everything_but_the_spike_is_differentiated(decay, threshold, steps):
    x = torch.randn(3, steps, 4, dtype=torch.float64, requires_grad=True)
    d_y = torch.randn(3, steps, 4, dtype=torch.float64)
    by_autograd(x, decay, threshold).backward(d_y)
    layer = LIF(decay, threshold)
    _, saved = layer.forward(x.detach())
    assert (layer.backward(d_y, saved) == 0).all()
    layer.jump_derivative = slope
    torch.testing.assert_close(layer.backward(d_y, saved), x.grad, rtol=1e-12, atol=1e-12)


def test_a_neuron_that_spikes_has_spent_the_threshold():
    x = torch.tensor([0.6, 0.8, 0.0, 1.4]).reshape(1, 4, 1)
    _, distances = LIF(decay=0.5).forward(x)
    torch.testing.assert_close(distances.flatten() + 1, torch.tensor([0.6, 1.1, -0.45, 1.175]))


@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2), (3, 4, 0)])
def test_nothing_at_all(shape):
    y, saved = LIF().forward(torch.randn(shape))
    assert y.shape == shape
    assert LIF().backward(torch.randn(shape), saved).shape == shape


def test_nan_stays_nan():
    x = torch.zeros(1, 3, 2)
    x[0, 1, 0] = float("nan")
    assert LIF()(x).isnan().flatten().tolist() == [False, False, True, False, True, False]


def test_bad_calls():
    with pytest.raises(ShapeError, match=r"LIF: x must be \(batch, steps, features\), got \(4, 2\)"):
        LIF()(torch.randn(4, 2))
    with pytest.raises(DtypeError, match=r"LIF: x must be floating point, got torch\.int64"):
        LIF()(torch.zeros(1, 2, 3, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"LIF: d_y must have the shape of the output, \(1, 2, 3\), got \(1, 2, 1\)"):
        LIF().backward(torch.randn(1, 2, 1), torch.randn(1, 2, 3))
    with pytest.raises(ArgumentError, match=r"LIF: decay must be between 0 and 1, got 1\.5"):
        LIF(decay=1.5)
    with pytest.raises(ArgumentError, match="LIF: threshold must be at least 0, got -1"):
        LIF(threshold=-1)
