"""The noise scale is that of its formula, and its interval holds the true one."""

import doctest
import importlib
import math

import pytest
import torch
from toy_parts import Chain, Dense, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, EachSample, Module, Parameter
from mytorch.train.quantities import NoiseScale, measure_noise, sample_gradients

SLOWER = "mytorch.train.quantities.QuantityWarning"  # the layers of strangers here state nothing
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings(f"ignore::{SLOWER}")]
D = torch.float64


def snr(g):
    variance = g.var(0).sum()
    return float((g.mean(0).square().sum() - variance / len(g)) / variance)


@pytest.mark.parametrize("rows", [64, 40, 75])
def test_it_is_that_of_the_formula(rows):
    torch.manual_seed(2)
    net = Chain(Dense(3, 4), Rectify(), Dense(4, 2)).double()
    data = Table(torch.randn(75, 3, dtype=D), torch.randn(75, 2, dtype=D) + 1)
    noise = measure_noise(net, SquaredError(), data, rows=rows, seed=5)
    drawn = torch.randperm(75, generator=torch.Generator().manual_seed(5))[: rows // 2 * 2]  # in batches of two
    each = sample_gradients(net, SquaredError(), *data[drawn])
    g = torch.cat([one.flatten(1) for one in each.values()], 1)
    assert noise.rows == len(drawn)
    assert math.isclose(noise.scale, 1 / snr(g), rel_tol=1e-9)
    count = len(drawn) // 2
    without = torch.tensor([snr(torch.cat([g[: 2 * at], g[2 * at + 2 :]])) for at in range(count)], dtype=D)
    error = float(((count - 1) / count * (without - without.mean()).square().sum()).sqrt())
    assert math.isclose(noise.low, 1 / (snr(g) + 2 * error), rel_tol=1e-9)
    assert math.isclose(noise.high, 1 / (snr(g) - 2 * error) if snr(g) > 2 * error else math.inf, rel_tol=1e-9)
    assert all(parameter.grad is None for parameter in net.param())


class Constant(Module):
    """y = a parameter, whatever the input is"""

    def __init__(self, size):
        self.value = Parameter(torch.zeros(size, dtype=D))

    def forward(self, x):
        return self.value.value.expand(len(x), -1) + 0 * x, None

    def backward(self, d_y, _):
        self.value.accumulate(d_y.sum(0))
        return torch.zeros_like(d_y)

    def sample_gradients(self, d_y, _, axis):
        return {"value": EachSample(d_y)}


@pytest.mark.parametrize("true", [20.0, 400.0])
def test_the_interval_holds_the_true_scale(true):
    size, held, scales = 10, 0, []
    for seed in range(24):
        torch.manual_seed(seed)
        mean = torch.full((size,), 1 / math.sqrt(true), dtype=D)  # g = -2 t / size, with var 1 and so size / |mean|^2
        data = Table(torch.randn(600, size, dtype=D), mean + torch.randn(600, size, dtype=D))
        noise = measure_noise(Constant(size), SquaredError(), data)
        held += noise.low <= true <= noise.high
        scales.append(1 / noise.scale)
    assert held >= 20  # of 24, where 23 are expected
    assert math.isclose(sum(scales) / 24, 1 / true, rel_tol=0.2)  # the ratio is taken without bias


def test_no_signal_is_an_infinite_scale_and_no_noise_is_none():
    torch.manual_seed(0)
    half = torch.randn(40, 3, dtype=D)
    noise = measure_noise(Constant(3), SquaredError(), Table(torch.randn(80, 3, dtype=D), torch.cat([half, -half])))
    assert (noise.scale, noise.high) == (math.inf, math.inf)
    assert noise.low > 0
    alike = measure_noise(Constant(3), SquaredError(), Table(torch.randn(80, 3, dtype=D), torch.ones(80, 3, dtype=D)))
    assert (alike.scale, alike.low, alike.high) == (0, 0, 0)


def test_its_example():
    tested = doctest.testmod(importlib.import_module("mytorch.train.quantities.noise_scale"))
    assert (tested.attempted > 3, tested.failed) == (True, 0)


def test_what_a_batch_size_costs():
    noise = NoiseScale(100.0, 80.0, 130.0, 1000)
    assert (noise.steps(100), noise.samples(100)) == (2, 2)
    assert (noise.steps(10), noise.samples(400)) == (11, 5)
    assert NoiseScale(0.0, 0.0, 0.0, 10).samples(4) == math.inf
    assert NoiseScale(math.inf, 4.0, math.inf, 10).samples(4) == 1


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        (15, {}, "data must have at least 16 rows, got 15"),
        (40, {"rows": 15}, "rows must be a whole number of at least 16, got 15"),
        (40, {"rows": 20.0}, "rows must be a whole number of at least 16, got 20.0"),
        (40, {"seed": -1}, "seed must be"),
    ],
)
def test_what_cannot_be_measured_is_refused(rows, options, text):
    data = Table(torch.randn(rows, 3), torch.randn(rows, 2))
    with pytest.raises(ArgumentError, match=f"measure_noise: {text}"):
        measure_noise(Dense(3, 2), SquaredError(), data, **options)
