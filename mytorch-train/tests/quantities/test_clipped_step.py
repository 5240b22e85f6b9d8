"""A step along clipped gradients of single samples is that of its formula."""

import pytest
import torch
from sharing_nets import tied, twice
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError, Table

from mytorch.core import ArgumentError
from mytorch.train import fit, step
from mytorch.train.quantities import SampleNorms, sample_gradients
from mytorch.train.quantities.clipped_step import ClippedStep

SLOWER = "mytorch.train.quantities.QuantityWarning"  # the layers here state nothing of single samples
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings(f"ignore::{SLOWER}")]


def network():
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2))


def table(rows=40):
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("build", [network, tied, twice])
def test_it_is_that_of_the_formula(build, reduction):
    torch.manual_seed(3)
    net, loss, bound = build().double(), SquaredError(reduction), 0.7
    x, t = torch.randn(6, 3).double(), torch.randn(6, 2).double()
    x[0] = t[0] = 0  # norms may be 0
    each = sample_gradients(net, loss, x, t)
    norms = torch.cat([one.flatten(1) for one in each.values()], 1).norm(dim=1)
    assert (norms > bound).any()
    bound = float(norms.median())
    wanted = {}
    for name, parameter in net.named_param():
        clipped = torch.stack(
            [g * min(1.0, bound / max(float(n), 1e-30)) for g, n in zip(each[name], norms, strict=True)]
        )
        wanted[name] = parameter.value - 0.1 * (clipped.sum(0) if reduction == "sum" else clipped.mean(0))
    with torch.inference_mode():
        ClippedStep(bound)(net, loss, SGD(net.param(), lr=0.1), x, t)
    for name, parameter in net.named_param():
        torch.testing.assert_close(parameter.value, wanted[name], rtol=0, atol=1e-12)
        assert parameter.grad is None


def test_a_bound_that_nothing_exceeds_changes_nothing_but_rounding():
    def trained(take):
        torch.manual_seed(3)
        net = network().double()
        x, t = torch.randn(6, 3).double(), torch.randn(6, 2).double()
        result = take(net, SquaredError(), SGD(net.param(), lr=0.1), x, t)
        return result, net.state_dict()

    torch.testing.assert_close(trained(ClippedStep(1e9)), trained(step), rtol=0, atol=1e-12)


def test_a_sample_without_any_gradient_is_no_division_by_zero():
    net = Chain(Dense(3, 2))
    x = torch.randn(4, 3)
    with torch.inference_mode():
        ClippedStep(0.1)(net, SquaredError(), SGD(net.param(), lr=0.1), x, net(x))
    assert all(parameter.value.isfinite().all() for parameter in net.param())


def trained(**options):
    torch.manual_seed(3)
    net = network()
    options = {"epochs": 3, "batch_size": 8, "quiet": True, "clip_sample_norm": 0.05, **options}
    return fit(net, SquaredError(), SGD(net.param(), lr=0.05), table(), **options)


def test_quantities_see_the_norms_before_they_are_clipped():
    with_norms, without = trained(quantities=[SampleNorms()]), trained()
    assert with_norms.history[-1]["sample_norm_max"] > 0.05
    torch.testing.assert_close(with_norms.net.state_dict(), without.net.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"clip_sample_norm": 0.0}, "clip_sample_norm: must be a number above 0"),
        ({"engine": "compiled"}, "clip_sample_norm: must be left out with an engine that compiles steps"),
        ({"engine": "auto"}, "clip_sample_norm: must be left out with an engine that compiles steps"),
        ({"accumulate": 2}, "clip_sample_norm: must be left out with accumulate = 2"),
        ({"precision": "bfloat16-mixed"}, "clip_sample_norm: must be left out with precision = 'bfloat16-mixed'"),
        ({"step": step}, "clip_sample_norm: must be left out with a step of your own"),
        ({"clip_grad_norm": 1.0}, "clip_sample_norm: must be left out with clip_grad_norm"),
        ({"optimizer_in_backward": True}, "clip_sample_norm: must be left out with optimizer_in_backward"),
    ],
)
def test_what_does_not_go_together_is_refused(options, text):
    with pytest.raises(ArgumentError, match=text):
        trained(**options)
