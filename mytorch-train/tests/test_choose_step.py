"""A step of one's own takes part wherever steps are taken, or is refused by name."""

import math

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, SquaredError, Table, network

from mytorch.core import ArgumentError
from mytorch.train import NotFiniteError, evaluate, fit, gradients, step, step_in_backward
from mytorch.train.choose_step import choose_step, is_plain


def train(own, net=None, data=None, **options):
    torch.manual_seed(0)
    net = net or network()
    data = Table(torch.randn(10, 2), torch.randn(10, 2)) if data is None else data
    options = {"epochs": 2, "batch_size": 4, "quiet": True} | options
    return fit(net, SquaredError(), SGD(net.param(), 0.1), data, step=own, **options)


def by_hand(net, loss, optimizer, inputs, targets):
    value, weight = gradients(net, loss, inputs, targets)
    optimizer.step()
    optimizer.zero_grad()
    return value, weight


def numbers(training):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in training.history]


def test_it_is_taken_in_place_of_the_plain_one():
    torch.manual_seed(1)
    nets = [network(), network()]
    nets[1].load_state_dict(nets[0].state_dict())
    mine, plain = train(by_hand, nets[0]), train(None, nets[1])
    assert numbers(mine) == numbers(plain)
    torch.testing.assert_close(nets[0].state_dict(), nets[1].state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("returned", "mean"),
    [
        (lambda value, rows: value, (2 * 4 + 2 * 4 + 20 * 2) / 10),
        (lambda value, rows: value.item(), (2 * 4 + 2 * 4 + 20 * 2) / 10),
        (lambda value, rows: (value, 1), (2 + 2 + 20) / 3),
        (lambda value, rows: (value.item(), torch.tensor(float(rows == 4))), 2.0),
    ],
)
def test_a_value_alone_counts_by_rows_and_a_weight_counts_as_it_is(returned, mean):
    def own(net, loss, optimizer, inputs, targets):
        rows = len(targets)  # 4, 4 and 2 of them
        return returned(torch.tensor(2.0 if rows == 4 else 20.0), rows)

    assert train(own).history[0]["train_loss"] == pytest.approx(mean)


def test_a_batch_of_weight_0_is_no_failure_whatever_its_loss():
    def own(net, loss, optimizer, inputs, targets):
        return (torch.tensor(math.nan), 0) if len(targets) == 2 else (torch.tensor(3.0), len(targets))

    assert train(own).history[0]["train_loss"] == 3.0
    assert math.isnan(train(lambda *given: (torch.tensor(math.nan), 0)).history[0]["train_loss"])


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "NoneType"),
        ("2", "str"),
        (True, "bool"),
        (torch.zeros(2), r"a tensor of \(2,\)"),
        ((torch.tensor(1.0), None), r"\(a tensor of \(\), NoneType\)"),
        ((1.0, 2, 3), r"\(float, int, int\)"),
    ],
)
def test_what_is_no_loss_is_refused(result, told):
    def own(*given):
        return result

    text = rf"^step: own must return the loss, one number, or a pair of the loss and its weight, got {told}$"
    with pytest.raises(ArgumentError, match=text):
        train(own)


def test_the_search_for_values_that_are_not_finite_takes_it_again():
    taken = []

    class Explode(Dense):
        """Its output is infinite for the small last batch."""

        def forward(self, x):
            y, saved = super().forward(x)
            return (y * math.inf if len(x) == 2 else y), saved

    def own(net, loss, optimizer, inputs, targets):
        taken.append(len(targets))
        return by_hand(net, loss, optimizer, inputs, targets)

    with pytest.raises(NotFiniteError, match=r"epoch 1, batch 3: .* is the output of layer '0' \(Explode\)"):
        train(own, Chain(Explode(2, 2), Noise()))
    assert taken == [4, 4, 2] * 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"clip_grad_norm": 1.0},
            r"^clip_grad_norm: must be left out with a step of your own \(by_hand\), which has to do this itself, got",
        ),
        (
            {"optimizer_in_backward": True},
            r"^optimizer_in_backward: must be left out with a step of your own \(by_hand\), which has to do",
        ),
        (
            {"engine": "compiled"},
            "step: must be left out with the compiled engine, which compiles its own, got by_hand; ",
        ),
    ],
)
def test_what_does_not_go_together_with_it_is_refused(options, text):
    with pytest.raises(ArgumentError, match=text):
        train(by_hand, **options)


@pytest.mark.parametrize(
    ("own", "text"),
    [
        (lambda net, loss: None, r"^step: must be a function of \(net, .*, got <lambda>, .*: too many positional"),
        (lambda net, loss, optimizer, inputs, targets, extra: None, r"cannot be passed: missing a required argument"),
    ],
)
def test_a_step_of_another_signature_is_refused_before_the_first(own, text):
    with pytest.raises(ArgumentError, match=text):
        train(own)


class Sum(Chain):
    """Two inputs, which are added."""

    def forward(self, x, other):
        return super().forward(x + other)


class Named(Table):
    """A table whose inputs have a name."""

    def batch_at(self, indices):
        inputs, targets = super().batch_at(indices)
        return {"mask": inputs}, targets


@pytest.mark.parametrize(
    ("net", "kind", "text"),
    [
        (
            network,
            Named,
            r"^Chain: forward must take the inputs of a batch, got a dict of mask: missing .* 'x'; its argum",
        ),
        (lambda: Sum(Dense(2, 2)), Table, r"^Sum: forward must take .*, got 1 without a name: missing .* 'other'"),
        (lambda: Sum(Dense(2, 2)), Named, r"^Sum: forward must take .*, got a dict of mask: missing .* 'x'"),
    ],
)
def test_inputs_that_a_model_does_not_take_are_refused_by_its_name(net, kind, text):
    data = kind(torch.randn(10, 2), torch.randn(10, 2))
    with pytest.raises(ArgumentError, match=text):
        train(None, net(), data)
    with pytest.raises(ArgumentError, match=text):
        evaluate(net(), SquaredError(), data)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(ArgumentError, match=r"^step: must be a function of \(net, loss, optimizer, .*, got int$"):
        train(3)


def test_our_own_steps_can_be_passed_too():
    assert is_plain(choose_step(SGD(network().param()), own=step))
    optimizer = SGD(network().param())
    assert choose_step(optimizer, own=step_in_backward) is choose_step(optimizer, optimizer_in_backward=True)
    assert math.isfinite(train(step_in_backward).history[-1]["train_loss"])


class Searching(SGD):
    needs_closure = True


def test_an_optimizer_that_needs_a_closure_needs_a_step_of_ones_own():
    net = network()
    before = [parameter.value.clone() for parameter in net.param()]
    data = Table(torch.randn(10, 2), torch.randn(10, 2))
    text = r"^step: must be a function of your own for Searching, which evaluates the loss .*with fit\(step=\.\.\.\)$"
    with pytest.raises(ArgumentError, match=text):
        fit(net, SquaredError(), Searching(net.param(), 0.1), data, epochs=1, batch_size=4, quiet=True)
    assert all(torch.equal(parameter.value, value) for parameter, value in zip(net.param(), before, strict=True))
    options = {"epochs": 1, "batch_size": 4, "quiet": True}
    fit(net, SquaredError(), Searching(net.param(), 0.1), data, step=by_hand, **options)
    assert not all(torch.equal(parameter.value, value) for parameter, value in zip(net.param(), before, strict=True))
