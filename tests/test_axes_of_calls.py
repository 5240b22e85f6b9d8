"""Where samples lie is remembered between calls, and asked again where it could be otherwise."""

import copy
import gc
from weakref import ref

import pytest
import torch
from nets_of_samples import CASES, make

from mytorch.core import ArgumentError, Module
from mytorch.nn import BatchNorm1d, Linear, MSELoss, Sequential, Softmax
from mytorch.train.quantities import QuantityWarning, axes, sample_gradients, sample_norms, sample_variance

pytestmark = [
    pytest.mark.numbers,
    pytest.mark.filterwarnings("ignore::mytorch.train.quantities.QuantityWarning"),
]


@pytest.fixture
def tried(monkeypatch):
    """How often a net was tried on some samples."""
    found, run = [], axes._run
    monkeypatch.setattr(axes, "_run", lambda *given: found.append(given[0]) or run(*given))
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_net_is_tried_once_for_all_calls(case, tried):
    net, inputs, targets = make(case)
    for _ in range(2):
        sample_norms(net, MSELoss(reduction="sum"), inputs, targets)
    assert len(tried) == 3


def to_evaluation(net, _loss):
    net.eval()


def another_layer(net, _loss):
    net.append(Linear(4, 4))


def another_in_its_place(net, _loss):
    net.layers[0] = Linear(4, 4)


def another_setting(net, _loss):
    net[1].dim = -2


def another_setting_of_the_loss(_net, loss):
    loss.reduction = "sum"


def less_is_trained(net, _loss):
    net[0].weight.trainable = net[0].bias.trainable = False


@pytest.mark.parametrize(
    "change",
    [
        to_evaluation,
        another_layer,
        another_in_its_place,
        another_setting,
        another_setting_of_the_loss,
        less_is_trained,
    ],
)
def test_a_net_is_tried_again_when_it_has_changed(tried, change):
    net, loss, x = Sequential(Linear(4, 4), Softmax(-1), Linear(4, 4)), MSELoss(), torch.randn(5, 3, 4)
    sample_norms(net, loss, x, x)
    change(net, loss)
    sample_norms(net, loss, x, x)
    assert len(tried) == 6


def test_a_net_is_tried_again_for_another_kind_of_batch(tried):
    net, loss = Linear(4, 4), MSELoss()
    for x in (torch.randn(5, 4), torch.randn(5, 3, 4)):
        sample_norms(net, loss, x, x)
    assert len(tried) == 6


def test_a_layer_that_mixes_the_batch_in_another_mode_is_found_in_a_net_that_is_known():
    net, x = Sequential(Linear(4, 4), BatchNorm1d(4)).eval(), torch.randn(5, 4)
    sample_norms(net, MSELoss(), x, x)
    net.train()
    with pytest.raises(ArgumentError, match=r"got layer '1' \(BatchNorm1d\), which mixes"):
        sample_norms(net, MSELoss(), x, x)


class Mixing(Module):
    """Adds the mean over the batch to a linear map, if it is told so."""

    def __init__(self, options=None, function=None):
        self.linear, self.options, self.function = Linear(4, 4), options or {}, function

    def forward(self, x, mixes=False):
        y, saved = self.linear.forward(x)
        if self.function is not None:
            y = self.function(y)
        return (y + y.mean(0) if mixes or self.options.get("mixes") else y), saved

    def backward(self, d_y, saved):
        return self.linear.backward(d_y, saved)


class Settings:
    mixes = False

    def get(self, _name):
        return self.mixes


def mixed_option(net):
    net.options["mixes"] = True


def mixed_settings(net):
    net.options.mixes = True


def mixed_function(net):
    net.function = lambda y: y - y.mean(0)


@pytest.mark.parametrize(
    ("net", "change", "options"),
    [
        (lambda: Mixing(), None, (True,)),
        (lambda: Mixing({"mixes": False}), mixed_option, ()),
        (lambda: Mixing(Settings()), mixed_settings, ()),
        (lambda: Mixing(function=lambda y: 2 * y), mixed_function, ()),
    ],
    ids=["an argument", "an entry", "an object", "a function"],
)
def test_a_net_that_is_known_and_mixes_the_batch_from_now_on_is_refused(net, change, options):
    net, loss, x = net(), MSELoss(), torch.randn(5, 4)
    for _ in range(2):
        sample_norms(net, loss, (x, False), x)
    if change is not None:
        change(net)
    with pytest.raises(ArgumentError, match=r"got layer '' \(Mixing\), which mixes"):
        sample_norms(net, loss, (x, *options), x)


def test_what_mixes_the_batch_is_refused_when_what_hid_it_has_changed():
    """Behind weights of zero all samples are alike."""
    net, x = Sequential(Linear(4, 4), BatchNorm1d(4)), torch.randn(5, 4)
    net[0].weight.value.zero_(), net[0].bias.value.zero_()
    sample_norms(net, MSELoss(), x, x)
    net[0].reset_parameters()
    with pytest.raises(ArgumentError, match=r"got layer '1' \(BatchNorm1d\), which mixes"):
        sample_norms(net, MSELoss(), x, x)


class MixingLong(Module):
    """Takes the mean over the batch away from long sequences."""

    def forward(self, x):
        return (x - x.mean(0) if x.shape[1] > 8 else x), x.shape

    def backward(self, d_y, shape):
        return d_y - d_y.mean(0) if shape[1] > 8 else d_y


def test_what_mixes_longer_sequences_alone_is_refused_of_a_net_that_is_known():
    net, short, long = Sequential(Linear(4, 4), MixingLong()), torch.randn(5, 6, 4), torch.randn(5, 9, 4)
    sample_norms(net, MSELoss(), short, short)
    with pytest.raises(ArgumentError, match=r"got layer '1' \(MixingLong\), which mixes"):
        sample_norms(net, MSELoss(), long, long)


class Transposed(Module):
    def forward(self, x):
        return x.transpose(0, 1), None

    def backward(self, d_y, _saved):
        return d_y.transpose(0, 1)


class InTurn(Module):
    """Runs through a list in which a module may stand twice."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        saved = []
        for layer in self.layers:
            x, of_layer = layer.forward(x)
            saved.append(of_layer)
        return x, saved

    def backward(self, d_y, saved):
        for layer, of_layer in zip(reversed(self.layers), reversed(saved), strict=True):
            d_y = layer.backward(d_y, of_layer)
        return d_y


def test_modules_in_another_order_are_seen():
    turn, linear, x = Transposed(), Linear(6, 3), torch.randn(5, 5, 6)
    net = InTurn(turn, linear, turn)
    sample_norms(net, MSELoss(), x, torch.zeros(5, 5, 3))
    net.layers[:] = [turn, turn, linear]
    expected = sample_norms(copy.deepcopy(net), MSELoss(), x, torch.zeros(5, 5, 3))
    torch.testing.assert_close(sample_norms(net, MSELoss(), x, torch.zeros(5, 5, 3)), expected)


def knowing(net):
    return lambda: net


def test_a_function_in_a_table_that_knows_the_net_does_not_keep_it_alive():
    net, x = Mixing(), torch.randn(5, 4)
    net.options["function"] = knowing(net)
    sample_norms(net, MSELoss(), x, x)
    alive = ref(net)
    del net
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("of", [sample_norms, sample_gradients, sample_variance])
def test_what_is_refused_is_refused_of_a_net_that_is_known(of):
    net, x = Linear(4, 4), torch.randn(5, 4)
    of(net, MSELoss(), x, x)
    with pytest.raises(ArgumentError, match=r"batch must have (at least two )?samples"):
        of(net, MSELoss(), x[:0], x[:0])
    with pytest.raises(ArgumentError, match="must have one entry for each of 5 samples"):
        of(net, MSELoss(), x[:1], x)
    with pytest.raises(ArgumentError, match="reduction of the loss must be one of"):
        of(net, MSELoss(reduction="none"), x, x)
    net.weight.trainable = net.bias.trainable = False
    with pytest.raises(ArgumentError, match="the net trained parameters"):
        of(net, MSELoss(), x, x)


def test_each_call_warns_of_layers_that_state_nothing():
    net, x = Mixing(), torch.randn(5, 4)
    net.linear.sample_gradients = lambda *_: None
    for _ in range(2):
        with pytest.warns(QuantityWarning):
            sample_norms(net, MSELoss(), x, x)


def test_what_is_known_of_a_net_does_not_keep_it_alive():
    net, x = Linear(4, 4), torch.randn(5, 4)
    sample_norms(net, MSELoss(), x, x)
    alive = ref(net)
    del net
    gc.collect()
    assert alive() is None
