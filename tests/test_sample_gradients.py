"""The gradients of single samples are those of loops over single samples, for every layer with parameters."""

import doctest

import pytest
import torch
from nets_of_samples import CASES, INDICES, WITHIN, make, with_one
from torch import Tensor

from mytorch.core import ArgumentError, Module, Parameter, quantity, tree
from mytorch.core import sample_gradients as forms
from mytorch.nn import (
    LSTM,
    RNN,
    BatchNorm1d,
    BatchNorm2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    EmbeddingBag,
    Flatten,
    LayerNorm,
    Linear,
    MSELoss,
    Padded,
    Sequential,
    Take,
    Tanh,
)
from mytorch.plugins import catalogue
from mytorch.train import gradients
from mytorch.train.quantities import (
    QuantityWarning,
    sample_gradients,
    sample_norms,
    sample_products,
    sample_variance,
)
from mytorch.train.quantities.axes import KnownAxes

SLOWER = "mytorch.train.quantities.QuantityWarning"
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings(f"ignore::{SLOWER}")]
EXACT = 1e-9


def looped(net, loss, inputs, targets):
    """Forward and backward of one sample after the other."""
    found = {}
    for sample in range(len(targets)):
        net.zero_grad()
        one = slice(sample, sample + 1)
        if isinstance(inputs, dict):
            given = {name: each[one] for name, each in inputs.items()}
        else:
            given = inputs[one] if isinstance(inputs, Tensor) else tuple(each[one] for each in inputs)
        gradients(net, loss, given, targets[one])
        for name, parameter in net.named_param():
            found.setdefault(name, []).append(parameter.grad)
    net.zero_grad()
    return {name: torch.stack(each) for name, each in found.items()}


def require_equal(found, wanted):
    assert list(found) == list(wanted)
    for name, each in wanted.items():
        torch.testing.assert_close(
            found[name], each, rtol=0, atol=EXACT, msg=lambda text, name=name: f"{name}: {text}"
        )


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_they_are_those_of_a_loop(case):
    net, inputs, targets = make(case)
    wanted = looped(net, MSELoss(), inputs, targets)
    require_equal(sample_gradients(net, MSELoss(), inputs, targets), wanted)
    norms = torch.stack([each.flatten(1).square().sum(1) for each in wanted.values()]).sum(0).sqrt()
    torch.testing.assert_close(sample_norms(net, MSELoss(), inputs, targets), norms, rtol=0, atol=EXACT)
    variances = {name: each.var(0) for name, each in wanted.items()}
    require_equal(sample_variance(net, MSELoss(), inputs, targets), variances)


def taken(value, places):
    return value[places] if isinstance(value, Tensor) else tuple(each[places] for each in value)


@torch.no_grad()
@pytest.mark.parametrize("at_once", [2**24, 50])  # of which the second takes few samples at a time
@pytest.mark.parametrize("case", CASES)
def test_products_are_those_of_a_loop(case, at_once, monkeypatch):
    monkeypatch.setattr(forms, "AT_ONCE", at_once)
    net, inputs, targets = make(case)
    each = torch.cat([each.flatten(1) for each in looped(net, MSELoss(), inputs, targets).values()], 1)
    places = [1, 0, 1] if len(targets) == 2 else [2, 0, 1]
    other = taken(inputs, places), targets[places] * 0.5
    others = torch.cat([each.flatten(1) for each in looped(net, MSELoss(), *other).values()], 1)
    found = sample_products(net, MSELoss(), (inputs, targets), other)
    torch.testing.assert_close(found, each @ others.T, rtol=0, atol=EXACT)


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_one_backward_a_sample_gives_them_for_any_layer(case, monkeypatch):
    net, inputs, targets = make(case)
    for cls in {base for module in net.modules() for base in type(module).__mro__}:
        if "sample_gradients" in vars(cls) and cls is not Module:
            monkeypatch.delattr(cls, "sample_gradients")
    require_equal(sample_gradients(net, MSELoss(), inputs, targets), looped(net, MSELoss(), inputs, targets))


@torch.no_grad()
@pytest.mark.parametrize("case", WITHIN)
def test_a_layer_that_holds_one_parameter_under_two_names(case):
    net, inputs, targets = make(case, WITHIN)
    wanted = looped(net, MSELoss(), inputs, targets)
    require_equal(sample_gradients(net, MSELoss(), inputs, targets), wanted)
    norms = torch.stack([each.flatten(1).square().sum(1) for each in wanted.values()]).sum(0).sqrt()
    torch.testing.assert_close(sample_norms(net, MSELoss(), inputs, targets), norms, rtol=0, atol=EXACT)
    every = torch.cat([each.flatten(1) for each in wanted.values()], 1)
    found = sample_products(net, MSELoss(), (inputs, targets), (inputs, targets))
    torch.testing.assert_close(found, every @ every.T, rtol=0, atol=EXACT)


def test_every_layer_with_parameters_states_them():
    silent = []
    for part in catalogue().of_kind("layer"):
        cls, told = part.load(), getattr(part.load(), "conformance", {})
        if part.name.startswith("Lazy") or part.distribution != "mytorch-nn":
            continue
        try:
            layer = cls(
                **{name: each() if callable(each) else each for name, each in told.get("arguments", {}).items()}
            )
        except TypeError:
            continue  # the sizes are in CASES
        if any(True for _ in tree.own(layer, Parameter)) and cls.sample_gradients is Module.sample_gradients:
            silent.append(part.name)
    assert silent == []


@torch.no_grad()
def test_the_masks_of_random_layers_are_those_of_the_batch():
    net = Sequential(Linear(4, 40), Dropout(0.5), Linear(40, 2)).double()
    x, t = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    torch.manual_seed(5)
    gradients(net, MSELoss(), x, t)
    wanted = [parameter.grad for parameter in net.param()]
    state = torch.get_rng_state()
    torch.manual_seed(5)
    found = sample_gradients(net, MSELoss(), x, t)
    for each, grad in zip(found.values(), wanted, strict=True):
        torch.testing.assert_close(each.mean(0), grad, rtol=0, atol=EXACT)
    assert not torch.equal(torch.get_rng_state(), state)  # all is put back, which draws nothing
    assert all(parameter.grad is grad for parameter, grad in zip(net.param(), wanted, strict=True))


@torch.no_grad()
def test_layers_that_draw_from_a_generator_of_their_own_mix_nothing():
    generator = torch.Generator().manual_seed(1)
    net = Sequential(Linear(4, 40), Dropout(0.5, generator=generator), Linear(40, 2))
    net, x, t = net.double(), torch.randn(4, 4, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    state = generator.get_state()
    found = sample_gradients(net, MSELoss(), x, t)
    assert torch.equal(generator.get_state(), state)
    gradients(net, MSELoss(), x, t)
    for name, parameter in net.named_param():
        torch.testing.assert_close(found[name].mean(0), parameter.grad, rtol=0, atol=EXACT)


@torch.no_grad()
def test_a_sum_and_weighted_classes_give_shares_in_the_gradient_of_the_batch():
    net, x = Linear(4, 3).double(), torch.randn(5, 4, dtype=torch.float64)
    classes = torch.tensor([0, 2, 1, 1, 0])
    for loss in (CrossEntropyLoss(reduction="sum"), CrossEntropyLoss(torch.tensor([1.0, 2, 3], dtype=torch.float64))):
        gradients(net, loss, x, classes)
        each = sample_gradients(net, loss, x, classes)["weight"]
        joined = each.sum(0) if loss.reduction == "sum" else each.mean(0)
        torch.testing.assert_close(joined, net.weight.grad, rtol=0, atol=EXACT)
        net.zero_grad()


class Contrast(MSELoss):
    """Predictions less their mean over the batch."""

    def forward(self, prediction, target):
        return super().forward(prediction - prediction.mean(0), target)

    def backward(self, d_value, saved):
        d = super().backward(d_value, saved)
        return d - d.mean(0)


@pytest.mark.parametrize(
    ("net", "loss", "text"),
    [
        (
            Sequential(Linear(4, 4), BatchNorm1d(4), Linear(4, 2)),
            MSELoss(),
            r"got layer '1' \(BatchNorm1d\), which mixes",
        ),
        (Sequential(Linear(4, 2)), MSELoss(reduction="none"), "reduction of the loss must be one of mean, sum"),
        (Sequential(Linear(4, 2)), Contrast(), "loss must be a mean or sum over the samples .* got a Contrast"),
    ],
)
def test_what_has_no_gradients_of_single_samples_is_refused(net, loss, text):
    before = [parameter.value.clone() for parameter in net.param()]
    with pytest.raises(ArgumentError, match=text):
        sample_gradients(net, loss, torch.randn(5, 4), torch.randn(5, 2))
    assert all(map(torch.equal, before, (parameter.value for parameter in net.param())))
    assert all("forward" not in vars(module) for module in net.modules())


@pytest.mark.parametrize("x", [torch.ones(4, 4), torch.zeros(4, 4), torch.randn(1, 4).expand(4, 4)])
@pytest.mark.parametrize("before", [Linear(4, 4), LayerNorm(4)])
def test_what_mixes_the_batch_is_refused_where_all_samples_are_alike(x, before):
    with pytest.raises(ArgumentError, match=r"got layer '1' \(BatchNorm1d\), which mixes"):
        sample_norms(Sequential(before, BatchNorm1d(4)), MSELoss(), x, torch.randn(4, 4))


def test_what_mixes_the_batch_is_refused_for_one_sample():
    with pytest.raises(ArgumentError, match=r"got layer '' \(BatchNorm2d\), which mixes"):
        sample_norms(BatchNorm2d(2), MSELoss(), torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3))


def test_what_mixes_the_batch_is_refused_as_soon_as_samples_of_whole_numbers_differ():
    net, known = Sequential(Embedding(7, 3), Flatten(), BatchNorm1d(12)), KnownAxes()
    loss = MSELoss()
    known.of(net, loss, INDICES[:1], torch.randn(1, 12))
    known.of(net, loss, INDICES[:1].expand(4, 4), torch.randn(4, 12))
    with pytest.raises(ArgumentError, match=r"got layer '2' \(BatchNorm1d\), which mixes"):
        known.of(net, loss, INDICES, torch.randn(4, 12))


def test_samples_that_are_alike_are_no_hindrance():
    known, net = KnownAxes(), Sequential(Linear(4, 4), LayerNorm(4))
    loss = MSELoss()
    first = known.of(net, loss, torch.ones(4, 4), torch.randn(4, 4))
    assert known.of(net, loss, torch.ones(4, 4), torch.randn(4, 4)) is first


def test_known_axes_are_of_the_parameters_that_are_trained_now():
    known, net = KnownAxes(), Sequential(Linear(4, 4), LayerNorm(4))
    loss, x, t = MSELoss(), torch.randn(4, 4), torch.randn(4, 4)
    first = known.of(net, loss, x, t)
    assert list(first.holders.own[id(net[0])]) == ["weight", "bias"]
    net[0].weight.trainable = False
    net[0].bias = Parameter(torch.zeros(4))
    second = known.of(net, loss, x, t)
    assert second is first
    assert second.holders.own[id(net[0])] == {"bias": net[0].bias}
    assert second.holders.names[net[0].bias] == "0.bias"


def test_a_batch_norm_in_evaluation_mode_mixes_nothing():
    net = Sequential(Linear(4, 4), BatchNorm1d(4).eval(), Linear(4, 2))
    assert sample_norms(net, MSELoss(), torch.randn(5, 4), torch.randn(5, 2)).shape == (5,)


class Places(Module):
    """x plus a learned vector for each place, looked up once for all samples."""

    def __init__(self):
        self.table = Embedding(3, 4)

    def forward(self, x):
        y, saved = self.table.forward(torch.arange(x.shape[1]))
        return x + y, saved

    def backward(self, d_y, saved):
        self.table.backward(d_y.sum(0), saved)
        return d_y


def test_a_layer_that_never_sees_the_samples_is_refused():
    text = r"layer 'table' \(Embedding\) must return one entry for each sample.* got \(3, 4\) for three samples"
    with pytest.raises(ArgumentError, match=text):
        sample_gradients(Places(), MSELoss(), torch.randn(3, 3, 4), torch.randn(3, 3, 4))


@torch.no_grad()
@pytest.mark.parametrize(
    "build", [lambda: LSTM(3, 4, 2, batch_first=True, bidirectional=True), lambda: RNN(3, 4, batch_first=True)]
)
def test_sequences_of_different_lengths(build):
    torch.manual_seed(3)
    net = Sequential(Padded(build()), Take(0), Linear(8 if isinstance(build(), LSTM) else 4, 2)).double()
    inputs = {"x": torch.randn(4, 5, 3, dtype=torch.float64), "lengths": torch.tensor([2, 5, 1, 5])}
    targets = torch.randn(4, 5, 2, dtype=torch.float64)
    require_equal(sample_gradients(net, MSELoss(), inputs, targets), looped(net, MSELoss(), inputs, targets))


@pytest.mark.parametrize(
    ("net", "rows", "text"),
    [
        (Linear(3, 2), 1, "sample_variance: the batch must have at least two samples, got 1"),
        (Linear(3, 2).requires_grad_(False), 4, "a batch must have samples, and the net trained parameters"),
        (Tanh(), 4, "got 4 samples and a Tanh"),
        (Linear(3, 2), 0, "sample_variance: the batch must have at least two samples, got 0"),
    ],
)
def test_nothing_to_tell_of(net, rows, text):
    x = torch.randn(rows, 3)
    with pytest.raises(ArgumentError, match=text):
        sample_variance(net, MSELoss(), x, net(x))


@pytest.mark.parametrize(
    ("net", "text"),
    [
        (
            EmbeddingBag(7, 2, mode="max"),
            r"layer '' \(EmbeddingBag\) does not state the gradients of single",
        ),
        (with_one(EmbeddingBag(7, 2), "weight", "other"), r"layer '' \(EmbeddingBag\) holds one parameter under two"),
    ],
)
def test_one_backward_a_sample_is_told(net, text):
    with pytest.warns(QuantityWarning, match=text):
        sample_norms(net, MSELoss(), INDICES, torch.randn(4, 2))


def test_bags_as_indices_and_offsets_are_refused():
    bag, t = EmbeddingBag(7, 2), torch.randn(3, 2)
    with pytest.raises(ArgumentError, match=r"each of 3 samples .* got \(6,\); give the bags .* as rows"):
        sample_norms(bag, MSELoss(), (torch.arange(6), torch.tensor([0, 2, 4])), t)
    with pytest.raises(ArgumentError, match="offsets must begin with 0") as caught:  # as many indices as bags
        sample_norms(bag, MSELoss(), (torch.arange(3), torch.tensor([0, 1, 2])), t[:3])
    assert "taken along the first axis of each tensor" in caught.value.__notes__[0]


def test_the_example_of_a_quantity():
    tested = doctest.testmod(quantity)
    assert (tested.attempted > 5, tested.failed) == (True, 0)


def test_uses_by_others_cannot_count():
    with pytest.raises(ArgumentError, match="Embedding: scale_grad_by_freq must be False"):
        sample_gradients(Embedding(7, 2, scale_grad_by_freq=True), MSELoss(), INDICES, torch.randn(4, 4, 2))
