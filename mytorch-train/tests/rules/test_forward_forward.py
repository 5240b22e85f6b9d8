"""Forward-forward is its paper's formula; hidden layers find right labels good; the output says the classes."""

from typing import ClassVar

import pytest
import torch
from by_hand import close, prepared, stepped
from torch import Tensor
from toy_parts import SGD, Both, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import ArgumentError, Loss, Module
from mytorch.train.rules import ForwardForward

pytestmark = pytest.mark.numbers

CLASSES = 3


class Length(Module):
    """y = x / rms(x), as Hinton's normalisation"""

    def forward(self, x):
        rms = x.square().mean(-1, keepdim=True).add(1e-12).sqrt()
        return x / rms, (x, rms)

    def backward(self, d_y, saved):
        x, rms = saved
        return d_y / rms - x * (d_y * x).mean(-1, keepdim=True) / rms**3


class Classes(Loss):
    """The cross entropy of classes."""

    outputs: ClassVar[str] = "softmax"

    def forward(self, prediction, target):
        p = prediction.softmax(1)
        return -p[torch.arange(len(p)), target].log().mean(), (p, target)

    def backward(self, d_value, saved):
        p, target = saved
        return d_value * (p - torch.eye(p.shape[1], dtype=p.dtype)[target]) / len(p)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:
        return len(target)


def two_hidden(seed=1, rows=6):
    torch.manual_seed(seed)
    net = Chain(Dense(5, 6), Rectify(), Length(), Dense(6, 4), Rectify(), Length(), Dense(4, CLASSES)).double()
    net.layers[3].bias.value = torch.rand(4).double()  # so that no row has activities of zero alone
    return net, torch.randn(rows, 5).double(), torch.randint(CLASSES, (rows,)), net.state_dict()


def layer(w, name, x):
    a = (x @ w[f"{name}.weight"].T + w[f"{name}.bias"]).clamp(min=0)
    return a, a / a.square().mean(1, keepdim=True).add(1e-12).sqrt()


def labelled(x, classes):
    return torch.cat([torch.eye(CLASSES).double()[classes], x[:, CLASSES:]], 1)


def test_it_is_the_formula_on_two_hidden_layers():
    net, x, t, w = two_hidden()
    rule = prepared(ForwardForward(seed=5), net, Classes())
    value, weight, found = stepped(rule, net, x, t, Classes())

    wrong = (t + torch.randint(1, CLASSES, t.shape, generator=torch.Generator().manual_seed(5))) % CLASSES
    assert (wrong != t).all()
    both = torch.cat([labelled(x, t), labelled(x, wrong)])
    below = both
    for name, units in (("0", 6), ("3", 4)):
        a, normal = layer(w, name, below)
        goodness = a.square().sum(1)
        d_goodness = torch.cat([-1 / (1 + (goodness[:6] - units).exp()), 1 / (1 + (units - goodness[6:]).exp())]) / 12
        d_a = 2 * a * d_goodness.unsqueeze(1) * (a > 0)
        close(found[f"{name}.weight"], d_a.T @ below)
        close(found[f"{name}.bias"], d_a.sum(0))
        below = normal
    h = layer(w, "3", layer(w, "0", x)[1])[1]
    p = (h @ w["6.weight"].T + w["6.bias"]).softmax(1)
    d = (p - torch.eye(CLASSES).double()[t]) / 6
    close((found["6.weight"], found["6.bias"]), (d.T @ h, d.sum(0)))
    close(value, -p[torch.arange(6), t].log().mean())
    assert weight == 6


def test_what_is_above_has_no_influence():
    net, x, t, _ = two_hidden()
    _, _, before = stepped(prepared(ForwardForward(), net, Classes()), net, x, t, Classes())
    for held in (*net.layers[3].param(), *net.layers[6].param()):
        held.value = torch.randn_like(held.value)
    _, _, after = stepped(prepared(ForwardForward(), net, Classes()), net, x, t, Classes())
    close(after["0.weight"], before["0.weight"])
    assert not torch.equal(after["3.weight"], before["3.weight"])


def goodness_of(net, x, classes):
    w, below, found = net.state_dict(), labelled(x, classes), []
    for name in ("0", "3"):
        a, below = layer(w, name, below)
        found.append(a.square().sum(1) - a.shape[1])
    return torch.stack(found)


@pytest.mark.parametrize("seed", [1, 2])
def test_right_labels_come_to_be_good_and_the_output_says_them(seed):
    """On three clouds of points, half of whose numbers the label covers."""
    torch.manual_seed(seed)
    net = Chain(Dense(9, 30), Rectify(), Length(), Dense(30, 20), Rectify(), Length(), Dense(20, CLASSES)).double()
    t = torch.arange(150) % CLASSES
    x = 2 * torch.eye(CLASSES).double()[t].repeat(1, 3) + 0.5 * torch.randn(150, 9).double()
    rule, optimizer = prepared(ForwardForward(seed=seed), net, Classes()), SGD(net.param(), lr=0.05)
    for _ in range(600):
        value, _ = rule.gradients(net, Classes(), x, t)
        optimizer.step()
        net.zero_grad()
    right, wrong = goodness_of(net, x, t), goodness_of(net, x, (t + 1) % CLASSES)
    assert (right[0] > 0).double().mean() > 0.95
    assert (wrong[0] < 0).double().mean() > 0.95
    assert (right[1] > wrong[1]).double().mean() > 0.95
    assert (net.forward(x)[0].argmax(1) == t).double().mean() > 0.95
    assert float(value) < 0.3


def test_a_state_goes_on_to_the_bit():
    net, x, t, _ = two_hidden()
    rule, fresh = (prepared(ForwardForward(seed=seed), net, Classes()) for seed in (3, 8))
    stepped(rule, net, x, t, Classes())
    fresh.load_state_dict(rule.state_dict())
    for _ in range(3):
        one, other = (stepped(each, net, x, t, Classes())[2] for each in (rule, fresh))
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def refused(net, x, t, text, loss=None):
    with pytest.raises(ArgumentError, match=text):
        prepared(ForwardForward(), net, loss or Classes()).gradients(net, loss or Classes(), x, t)
    assert all(held.grad is None for held in net.param())


def test_what_it_cannot_train_is_refused_by_name():
    net, x, t, _ = two_hidden()
    refused(net, x, t, "the loss must be one of class scores, .*got SquaredError", SquaredError())
    refused(Chain(Dense(5, 3)), x, t, r"ForwardForward: the model must have a hidden block, got Dense \('0'\) alone")
    refused(Both(Dense(5, 3), Dense(5, 3)), x, t, "ForwardForward: the model must be a chain of layers.*got Both")
    plain = Chain(Dense(5, 6), Rectify(), Dense(6, 3)).double()
    refused(plain, x, t, r"hides the length of activities.*got Dense \('0'\) to Rectify \('1'\)")
    drawing = Chain(Dense(5, 6), Rectify(), Length(), Noise(), Dense(6, 3)).double()
    refused(drawing, x, t, r"layers must compute the same .*got Noise \('3'\)")


def test_inputs_that_do_not_fit_are_refused_by_name():
    net = Chain(Dense(3, 6), Rectify(), Length(), Dense(6, 3)).double()
    x, t = torch.randn(4, 3).double(), torch.tensor([0, 1, 2, 0])
    refused(net, x, t, "rows must have more numbers than the classes, .*got 3 and 3 classes")
    refused(net, torch.ones(4, 3, dtype=torch.int64), t, "the input must be floating point, got torch.int64")
    refused(net, (x, x), t, "the input must be one tensor with an axis of rows, got a tuple")


class Unless(Classes):
    """That of rows whose class is not `ignore_index`."""

    def __init__(self, ignore_index):
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, prediction, target):
        kept = target != self.ignore_index
        return super().forward(prediction[kept], target[kept])[0], (prediction, target)

    def backward(self, d_value, saved):
        prediction, target = saved
        kept, d = target != self.ignore_index, torch.zeros_like(prediction)
        d[kept] = super().backward(d_value, (prediction[kept].softmax(1), target[kept]))
        return d

    def weight_of(self, prediction, target):
        return (target != self.ignore_index).sum()


@pytest.mark.parametrize("ignored", [-100, 0])
def test_rows_whose_targets_the_loss_ignores_teach_nothing(ignored):
    net, x, t, _ = two_hidden(rows=9)
    t[::3] = ignored
    kept = t != ignored
    _, weight, found = stepped(prepared(ForwardForward(), net, Unless(ignored)), net, x, t, Unless(ignored))
    _, _, wanted = stepped(prepared(ForwardForward(), net, Classes()), net, x[kept], t[kept], Classes())
    close(found, wanted)
    assert weight == kept.sum()
    t[:] = ignored
    _, _, nothing = stepped(prepared(ForwardForward(), net, Unless(ignored)), net, x, t, Unless(ignored))
    assert not any(grad is not None and grad.any() for name, grad in nothing.items() if name < "6")


def test_inputs_that_are_not_numbers_are_not_taken_for_a_fault_of_the_layers():
    net, x, t, _ = two_hidden()
    value, _ = prepared(ForwardForward(), net, Classes()).gradients(net, Classes(), x * float("nan"), t)
    assert value.isnan()
