"""Differential privacy: the step is that of its formula, rows are drawn one by one, and epsilon is counted."""

import math
import re
import sys

import pytest
import torch
from sharing_nets import tied, twice
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, Buffer, Module, OuterProducts, Stacked
from mytorch.plugins import MissingRequirementError
from mytorch.train import Batches, NotFiniteError, Privacy, fit, step
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
    privacy = privacy or Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3, seed=7)
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
    assert privacy.steps == {(0.05, 0.0): 1}
    assert privacy.epsilon() == math.inf


def test_no_gradient_without_noise_is_left_in_a_parameter_that_the_optimizer_has_not():
    net, take = network(), PrivateStep(Privacy(max_norm=0.3, noise_multiplier=1.0, delta=0.1), 5, 100)
    with torch.inference_mode():
        take(net, SquaredError(), SGD(net.param()[:2], lr=0.1), torch.randn(6, 3), torch.randn(6, 2))
    assert [parameter.grad for parameter in net.param()] == [None] * 4


@pytest.mark.parametrize("rows", [0, 6])
def test_the_noise_has_the_deviation_of_the_formula(rows):
    """Over many seeds, and in a batch without rows, too: then it is all that there is."""
    net, loss = Chain(Dense(3, 2)).double(), SquaredError()
    x, t = torch.randn(rows, 3).double(), torch.randn(rows, 2).double()
    start = {name: parameter.value.clone() for name, parameter in net.named_param()}
    take = PrivateStep(Privacy(max_norm=0.25, noise_multiplier=3.0, delta=0.1, seed=0), 5, 100)
    ends = []
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
    assert privacy.steps == {(0.2, 1.0): 10}
    again = fit(
        first.net, SquaredError(), first.optimizer, table(), epochs=1, batch_size=8, privacy=privacy, quiet=True
    )
    assert again.history[-1]["epsilon"] == Privacy(0.5, 1.0, 1e-3).epsilon({0.2: 15}) > spent[1]


def test_a_resumed_training_counts_on_to_the_bit(tmp_path):
    whole = trained(epochs=3, quantities=[SampleNorms()])
    trained(epochs=2, checkpoint=tmp_path / "half.safetensors", quantities=[SampleNorms()])
    privacy = Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3, seed=7)
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


def test_what_was_spent_is_taken_over_with_the_noise_that_it_was_spent_with(tmp_path):
    first = Privacy(max_norm=0.5, noise_multiplier=0.8, delta=1e-3)
    trained(first, epochs=2, checkpoint=tmp_path / "part.safetensors")
    later = Privacy(max_norm=0.5, noise_multiplier=3.0, delta=1e-3)
    options = {"resume": tmp_path / "part.safetensors", "accept_differences": True, "quantities": [SampleNorms()]}
    history = trained(later, epochs=3, **options).history
    assert later.steps == {(0.2, 0.8): 10, (0.2, 3.0): 5}
    assert history[-1]["epsilon"] == later.epsilon() > first.epsilon()


def test_the_object_that_trained_goes_on_where_its_checkpoint_ends(tmp_path):
    privacy = Privacy(max_norm=0.5, noise_multiplier=1.0, delta=1e-3)
    privacy.max_epsilon = 1.001 * privacy.epsilon({0.2: 15})
    trained(privacy, epochs=2, checkpoint=tmp_path / "part.safetensors")
    trained(privacy, epochs=3, resume=tmp_path / "part.safetensors")
    with pytest.raises(ArgumentError, match="train at most 1 more epoch, or begin anew"):
        trained(privacy, epochs=4, resume=tmp_path / "part.safetensors")


def test_nobody_who_knows_the_program_knows_the_noise():
    ends = [trained(Privacy(0.5, 1.0, 1e-3), epochs=1).net.state_dict() for _ in range(2)]
    assert all(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    ends = [trained(Privacy(0.5, 1.0, 1e-3, seed=1), epochs=1).net.state_dict() for _ in range(2)]
    torch.testing.assert_close(*ends, rtol=0, atol=0)


def test_the_search_for_a_fault_repeats_the_noise_and_counts_no_step_twice():
    """The weights that are kept are those of a training that ends before the batch with the fault."""
    data, privacy = table(), Privacy(0.5, 1.0, 1e-3, seed=7)
    order = [inputs for inputs, _ in Batches(data, 8, poisson=True, seed=7)]
    row = next(
        row
        for row in range(40)
        if [number for number in range(5) if (order[number] == data.inputs[row]).all(1).any()] == [3]
    )
    data.inputs[row] = float("inf")
    with pytest.raises(NotFiniteError, match="in epoch 1, batch 4: the first value that is not finite is the inputs"):
        trained(privacy, data, epochs=1)
    assert privacy.steps == {(0.2, 1.0): 3}


def test_the_library_that_counts_is_asked_for_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting.rdp", None)
    with pytest.raises(MissingRequirementError, match=r"pip install './mytorch-train\[privacy\]'"):
        Privacy(0.5, 1.0, 1e-3)


def test_norms_are_right_where_large_numbers_cancel():
    """Two positions that are nearly alike, with opposite gradients."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(256, (40, 1, 64), generator=generator).float()
    rows = torch.cat([rows, rows + 1e-3 * torch.randn(40, 1, 64, generator=generator)], 1)
    d_rows = torch.randn(40, 1, 64, generator=generator)
    d_rows = torch.cat([d_rows, -d_rows], 1)
    stated = OuterProducts(d_rows, rows, (64, 64))
    exact = OuterProducts(d_rows.double(), rows.double(), (64, 64)).each().flatten(1).norm(dim=1)
    assert not torch.allclose(stated.squared_norms().sqrt().double(), exact, rtol=0.01)
    torch.testing.assert_close(stated.precise().squared_norms().sqrt(), exact, rtol=1e-4, atol=0)
    both = Stacked((stated, stated), (128, 64))
    torch.testing.assert_close(both.precise().squared_norms().sqrt(), exact * 2**0.5, rtol=1e-4, atol=0)


class Remembers(Dense):
    """A layer that keeps the mean of its rows."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.seen = Buffer(torch.zeros(()))

    def forward(self, x):
        self.seen.value.copy_(x.mean())
        return super().forward(x)


class Bounded(Dense):
    max_norm = 1.0


class Summed(Module):
    def forward(self, prediction, target):
        return (prediction - target).square().sum(), (prediction, target)

    def backward(self, d_value, saved):
        return 2 * d_value * (saved[0] - saved[1])


@pytest.mark.parametrize(
    ("build", "loss", "text"),
    [
        (
            lambda: Chain(Remembers(3, 2)),
            SquaredError(),
            "must keep nothing of the rows, got one whose",
        ),
        (lambda: Chain(Bounded(3, 2)), SquaredError(), "Bounded '0', whose max_norm changes the rows"),
        (lambda: Chain(Dense(3, 2)), Summed(), "the loss must be a mytorch.core.Loss"),
        (
            lambda: Chain(Dense(3, 2)).to(torch.bfloat16),
            SquaredError(),
            "must be float32 or float64, got",
        ),
    ],
)
def test_what_would_break_the_promise_is_refused_and_changes_nothing(build, loss, text):
    net, privacy = build(), Privacy(0.5, 1.0, 1e-3)
    dtype = next(iter(net.param())).value.dtype
    data = Table(*(part.to(dtype) for part in (table().inputs, table().targets)))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match=f"privacy: .*{text}"):
        fit(net, loss, SGD(net.param(), lr=0.1), data, epochs=1, batch_size=8, privacy=privacy, quiet=True)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert not privacy.steps


def test_a_loss_that_weighs_samples_by_their_batch_is_refused():
    torch.manual_seed(3)
    net, privacy = network(), Privacy(0.5, 1.0, 1e-3, seed=4)
    options = {"epochs": 3, "batch_size": 8, "privacy": privacy, "quiet": True}
    with pytest.raises(
        ArgumentError, match=r"every sample must have the same weight|in which they depend on each other"
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
