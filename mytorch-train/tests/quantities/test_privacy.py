"""Differential privacy: the step is that of its formula, rows are drawn one by one, and epsilon is counted."""

import math
import re

import pytest
import torch
from sharing_nets import tied, twice
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError, Table

from mytorch.core import ArgumentError
from mytorch.train import Batches, Privacy, fit, step
from mytorch.train.privacy.private_step import PrivateStep
from mytorch.train.quantities import SampleNorms, sample_gradients

accounting = pytest.importorskip("dp_accounting")
pytestmark = pytest.mark.filterwarnings("ignore::mytorch.train.quantities.QuantityWarning")


def network():
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2))


def table(rows=40):
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))


def trained(privacy=None, data=None, **options):
    torch.manual_seed(3)
    net = network()
    privacy = privacy or Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3)
    options = {"epochs": 2, "batch_size": 8, "quiet": True, "privacy": privacy, **options}
    return fit(net, SquaredError(), SGD(net.param(), lr=0.05), data or table(), **options)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("build", [network, tied, twice])
def test_a_step_without_noise_is_the_clipped_sum_by_the_expected_rows(build, reduction):
    torch.manual_seed(3)
    net, loss, bound = build().double(), SquaredError(reduction), 0.3
    x, t = torch.randn(6, 3).double(), torch.randn(6, 2).double()
    each = sample_gradients(net, loss, x, t)
    norms = torch.cat([one.flatten(1) for one in each.values()], 1).norm(dim=1)
    assert (norms > bound).any()
    wanted = {}
    for name, parameter in net.named_param():
        clipped = sum(g * min(1.0, bound / max(float(n), 1e-30)) for g, n in zip(each[name], norms, strict=True))
        wanted[name] = parameter.value - 0.1 * clipped / (1 if reduction == "sum" else 5)
    privacy = Privacy(max_norm=bound, noise_multiplier=0.0, delta=0.1)
    with torch.inference_mode():
        PrivateStep(privacy, 5, 100)(net, loss, SGD(net.param(), lr=0.1), x, t)
    for name, parameter in net.named_param():
        torch.testing.assert_close(parameter.value, wanted[name], rtol=0, atol=1e-12)
        assert parameter.grad is None
    assert privacy.steps == {0.05: 1}
    assert privacy.epsilon() == math.inf


@pytest.mark.parametrize("rows", [0, 6])
def test_the_noise_has_the_deviation_of_the_formula(rows):
    """Over many seeds, and in a batch without rows, too: then it is all that there is."""
    net, loss = Chain(Dense(3, 2)).double(), SquaredError()
    x, t = torch.randn(rows, 3).double(), torch.randn(rows, 2).double()
    start = {name: parameter.value.clone() for name, parameter in net.named_param()}
    take = PrivateStep(Privacy(max_norm=0.25, noise_multiplier=3.0, delta=0.1), 5, 100)
    ends = []
    torch.manual_seed(0)
    for _ in range(1000):
        for name, parameter in net.named_param():
            parameter.value = start[name].clone()
        with torch.inference_mode():
            take(net, loss, SGD(net.param(), lr=1.0), x, t)
        ends.append(torch.cat([parameter.value.flatten() for parameter in net.param()]))
    ends = torch.stack(ends)
    deviation = 3.0 * 0.25 / 5
    torch.testing.assert_close(ends.std(0), torch.full((8,), deviation).double(), rtol=0.1, atol=0)
    correlation = torch.corrcoef(ends.T) - torch.eye(8)
    assert correlation.abs().max() < 0.13
    if not rows:
        begin = torch.cat([value.flatten() for value in start.values()])
        assert ((ends.mean(0) - begin).abs() < 4 * deviation / math.sqrt(1000)).all()


def test_rows_are_drawn_apart_with_their_probability():
    data = Table(torch.arange(50.0)[:, None], torch.arange(50.0)[:, None])
    batches = Batches(data, 4, poisson=True, seed=1)
    drawn = [set(inputs.flatten().long().tolist()) for _ in range(300) for inputs, _ in batches]
    assert len(drawn) == 300 * len(batches) == 300 * 13
    sizes = torch.tensor([float(len(one)) for one in drawn])
    assert 0 in sizes
    assert abs(sizes.mean() - 4) < 0.12
    assert abs(sizes.var() - 50 * 0.08 * 0.92) < 0.4  # binomial
    counts = torch.tensor([sum(row in one for one in drawn) for row in range(50)]).double()
    deviation = math.sqrt(len(drawn) * 0.08 * 0.92)
    assert ((counts - len(drawn) * 0.08).abs() < 4 * deviation).all()
    together = sum(0 in one and 1 in one for one in drawn)
    assert abs(together - len(drawn) * 0.08**2) < 4 * math.sqrt(len(drawn) * 0.08**2)


def test_the_draws_go_on_where_they_were_left():
    def rest(batches):
        return [inputs for inputs, _ in batches]

    whole, later = (Batches(table(), 8, poisson=True, seed=5) for _ in range(2))
    later.begin_at(3)
    for one, other in zip(rest(whole)[3:], rest(later), strict=True):
        assert torch.equal(one, other)


def test_epsilon_is_that_of_the_library_and_of_a_published_table():
    """Abadi et al. 2016, section 4: q = 0.01, sigma = 4, delta = 1e-5, 10,000 steps: about 1.26."""
    privacy = Privacy(max_norm=1.0, noise_multiplier=4.0, delta=1e-5)
    found = privacy.epsilon({0.01: 10_000})
    assert abs(found - 1.26) < 0.25
    accountant = accounting.pld.PLDAccountant()
    noise = accounting.dp_event.GaussianDpEvent(4.0)
    accountant.compose(accounting.dp_event.PoissonSampledDpEvent(0.01, noise), 10_000)
    assert accountant.get_epsilon(1e-5) <= found < 1.25 * accountant.get_epsilon(1e-5)


def test_the_history_has_what_was_spent_and_a_second_training_counts_on():
    privacy = Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3)
    first = trained(privacy)
    spent = [record["epsilon"] for record in first.history]
    assert 0 < spent[0] < spent[1] == privacy.epsilon()
    assert privacy.steps == {0.2: 10}
    again = fit(
        first.net, SquaredError(), first.optimizer, table(), epochs=1, batch_size=8, privacy=privacy, quiet=True
    )
    assert again.history[-1]["epsilon"] == Privacy(0.5, 1.0, 1e-3).epsilon({0.2: 15}) > spent[1]


def test_a_resumed_training_counts_on_to_the_bit(tmp_path):
    whole = trained(epochs=3, quantities=[SampleNorms()])
    trained(epochs=2, checkpoint=tmp_path / "half.safetensors", quantities=[SampleNorms()])
    privacy = Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3)
    resumed = trained(privacy, epochs=3, resume=tmp_path / "half.safetensors", quantities=[SampleNorms()])
    assert [record["epsilon"] for record in resumed.history] == [record["epsilon"] for record in whole.history]
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)


def test_a_training_that_would_spend_too_much_is_refused_before_it_begins():
    privacy = Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3, max_epsilon=4.0)
    text = r"privacy: 150 steps must spend at most max_epsilon = 4, got .*train at most (\d+) more epochs"
    with pytest.raises(ArgumentError, match=text) as info:
        trained(privacy, epochs=30)
    fits = int(re.search(text, str(info.value))[1])
    assert privacy.epsilon({0.2: 5 * fits}) <= 4.0 < privacy.epsilon({0.2: 5 * (fits + 1)})
    assert not privacy.steps
    noise = float(str(info.value).rpartition("at least ")[2])
    assert (
        Privacy(0.5, noise * 1.01, 1e-3).epsilon({0.2: 150})
        <= 4.0
        < Privacy(0.5, noise * 0.97, 1e-3).epsilon({0.2: 150})
    )
    trained(privacy, epochs=fits)
    with pytest.raises(ArgumentError, match="nothing is left for a whole epoch"):
        trained(privacy, epochs=1)


class Weighed(SquaredError):
    """Rows whose first target is above 0 count twice."""

    def weight_of(self, prediction, target):
        return float((1 + (target[:, 0] > 0)).sum())


def test_a_loss_that_weighs_samples_by_their_batch_is_refused():
    torch.manual_seed(3)
    net, privacy = network(), Privacy(0.5, 1.0, 1e-3)
    options = {"epochs": 3, "batch_size": 8, "privacy": privacy, "quiet": True}
    with pytest.raises(
        ArgumentError, match="privacy: every sample must have the same weight in the loss, got Weighed"
    ):
        fit(net, Weighed(), SGD(net.param(), lr=0.1), table(), **options)
    fit(net, Weighed("sum"), SGD(net.param(), lr=0.001), table(), **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "compiled"}, "privacy: must be left out with an engine that compiles steps"),
        ({"accumulate": 2}, "poisson must be left out with accumulate"),
        ({"drop_last": True}, "poisson must be left out with drop_last"),
        ({"precision": "bfloat16-mixed"}, "privacy: must be left out with precision = 'bfloat16-mixed'"),
        ({"step": step}, "privacy: must be left out with a step of your own"),
        ({"clip_grad_norm": 1.0}, "privacy: must be left out with clip_grad_norm"),
        ({"clip_sample_norm": 1.0}, "privacy: must be left out with clip_sample_norm"),
        ({"optimizer_in_backward": True}, "privacy: must be left out with optimizer_in_backward"),
        ({"privacy": 3.0}, "privacy must be a Privacy of mytorch"),
    ],
)
def test_what_does_not_go_together_is_refused(options, text):
    with pytest.raises(ArgumentError, match=text):
        trained(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_norm": 0.0}, "max_norm must be above 0"),
        ({"max_norm": -1.0}, "max_norm must be at least 0"),
        ({"noise_multiplier": float("nan")}, "noise_multiplier must be at least 0"),
        ({"noise_multiplier": "1"}, "noise_multiplier must be a number"),
        ({"delta": 1.0}, "delta between 0 and 1"),
        ({"delta": 0.0}, "delta between 0 and 1"),
        ({"max_epsilon": -1.0}, "max_epsilon must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(ArgumentError, match=f"Privacy: .*{text}"):
        Privacy(**{"max_norm": 1.0, "noise_multiplier": 1.0, "delta": 1e-5, **options})
