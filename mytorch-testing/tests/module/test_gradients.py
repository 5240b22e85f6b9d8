"""Wrong derivatives, each beside a right twin; kinks; and what a message says of a wrong gradient."""

import pytest
import torch

from mytorch.core import Module, Parameter, require_input, require_last_axis, require_upstream
from mytorch.plugins import UnknownNameError
from mytorch.testing import CheckError, check_layer, check_loss

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Map(Module):
    """y = x @ weight.T, square, so that a transposed gradient has the right shape."""

    def __init__(self):
        self.weight = Parameter(torch.rand(3, 3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return x @ self.weight.value.T, x

    def backward(self, d_y, x):
        self.weight.accumulate(d_y.reshape(-1, 3).T @ x.reshape(-1, 3))
        return d_y @ self.weight.value


class Transposed(Map):
    def backward(self, d_y, x):
        self.weight.accumulate(x.reshape(-1, 3).T @ d_y.reshape(-1, 3))
        return d_y @ self.weight.value


class Negated(Map):
    def backward(self, d_y, x):
        self.weight.accumulate(-(d_y.reshape(-1, 3).T @ x.reshape(-1, 3)))
        return d_y @ self.weight.value


class Averaged(Map):
    def backward(self, d_y, x):
        rows = d_y.reshape(-1, 3)
        self.weight.accumulate(rows.T @ x.reshape(-1, 3) / len(rows))
        return d_y @ self.weight.value


class Zeroed(Map):
    def backward(self, d_y, x):
        super().backward(d_y, x)
        return torch.zeros_like(d_y)


class Rounded(Map):
    """A Python number times a mask is float32, whatever the rest is."""

    def backward(self, d_y, x):
        super().backward(d_y, x)
        return (0.1 * (x == x)) * d_y @ self.weight.value * 10


class OneEntry(Map):
    """Wrong at one place, by less than random directions are sure to see in a large sum."""

    def backward(self, d_y, x):
        d_weight = d_y.reshape(-1, 3).T @ x.reshape(-1, 3)
        d_weight[2, 1] *= 1 + 1e-4
        self.weight.accumulate(d_weight)
        return d_y @ self.weight.value


@pytest.mark.parametrize(
    ("wrong", "check", "text"),
    [
        (Transposed, "autograd", "gradient of weight must match autograd.*it is transposed"),
        (Negated, "autograd", "gradient of weight must match autograd.*it has the wrong sign"),
        (Averaged, "autograd", "it is 4 times too small: a mean where the sum belongs"),
        (
            Averaged,
            "finite_differences",
            "along 2 random directions; .* it is 4 times too small: a mean where",
        ),
        (Negated, "finite_differences", "gradient of weight must match finite differences.*it has the wrong sign"),
        (Zeroed, "finite_differences", "gradient of x must match finite differences.*it is zero throughout"),
        (Zeroed, "autograd", r"gradient of x must match autograd.*it is zero throughout"),
        (Rounded, "autograd", "it is as inexact as float32: was a tensor made without the dtype of the input"),
        (Transposed, "full_jacobian", r"gradient of weight at \[0, 1\], for each number of the output in turn, must"),
        (OneEntry, "full_jacobian", r"gradient of weight at \[2, 1\], .* must match finite differences"),
    ],
)
def test_a_wrong_gradient_is_named_and_what_it_looks_like(wrong, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(Map, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


class Rectified(Module):
    def forward(self, x):
        return x.clamp_min(0), x > 0

    def backward(self, d_y, positive):
        return d_y * positive


class WrongKink(Rectified):
    def forward(self, x):
        return x.clamp_min(0), x > 0.5


class Jagged(Module):
    """Its slope changes within the step of a difference, wherever one looks."""

    def forward(self, x):
        return (x * 1e7).sin(), None

    def backward(self, d_y, saved):
        return d_y


@pytest.mark.parametrize("check", ["finite_differences", "full_jacobian"])
def test_a_kink_is_told_from_a_mistake(check):
    with_zeros = X.clone()
    with_zeros[0] = 0.0
    assert check_layer(Rectified, with_zeros, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]
    with pytest.raises(CheckError, match="must match finite differences"):
        check_layer(WrongKink, with_zeros, checks=(check,))
    skipped = check_layer(Jagged, X, checks=(check,)).skipped
    assert skipped[f"train/{check}"] == "forward has a kink at each of 5 points"


def test_the_jacobian_of_larger_shapes_is_left_out():
    (reason, _) = check_layer(Map, torch.randn(50, 3), checks=("full_jacobian",)).skipped.values()
    assert reason == "its inputs, parameters and outputs are 309 numbers; up to 256 are looked at one by one"


class Detached(Map):
    """Autograd cannot follow its forward, so that only a reference can judge it quickly."""

    def forward(self, x):
        return super().forward(x)[0].detach(), x


class DetachedTransposed(Transposed):
    def forward(self, x):
        return super().forward(x)[0].detach(), x


def formula(parameters, x):
    return x @ parameters["weight"].T


def test_a_reference_is_what_the_gradients_are_compared_with():
    named = {"checks": ("reference",), "modes": ("train",)}
    assert check_layer(Detached, X, reference=formula, **named).passed == ["train/reference"]
    with pytest.raises(CheckError, match=r"(?s)weight must match autograd through the reference.*reference="):
        check_layer(DetachedTransposed, X, reference=formula, **named)
    with pytest.raises(CheckError, match="output must match the reference"):
        check_layer(Detached, X, reference=lambda parameters, x: x + parameters["weight"][0], **named)


class SoftCrossEntropy(Module):
    """The mean over rows of -sum(target * log_softmax(prediction)), targets being probabilities."""

    def forward(self, prediction, target):
        return -(target * prediction.log_softmax(-1)).sum(-1).mean(), (prediction, target)

    def backward(self, d_value, saved):
        prediction, target = saved
        inner = prediction.softmax(-1) * target.sum(-1, keepdim=True) - target
        return inner * (d_value / len(prediction))


class MeanOverAll(SoftCrossEntropy):
    def backward(self, d_value, saved):
        return super().backward(d_value, saved) / saved[0].shape[-1]


def test_the_wrong_reduction_for_probabilities_is_named():
    target = torch.rand(4, 3).softmax(-1)
    with pytest.raises(CheckError, match=r"gradient of prediction must match autograd.*it is 3 times too small"):
        check_loss(MeanOverAll, X, target, checks=("autograd",))
    assert check_loss(SoftCrossEntropy, X, target, checks=("autograd",)).passed == ["train/autograd"]


def test_a_shape_is_drawn_from_the_seed_so_that_a_reproduction_is_exact():
    with pytest.raises(CheckError) as first:
        check_layer(Transposed, (4, 3), seed=5, checks=("autograd",))
    with pytest.raises(CheckError) as second:
        check_layer(Transposed, (4, 3), seed=5, checks=("autograd",))
    assert str(first.value) == str(second.value)
    assert "reproduce: check_layer(lambda: Transposed(), (4, 3), seed=5, modes=('train',)" in str(first.value)


class OneHot(Module):
    def forward(self, index):
        require_input(self, index, "index")
        return torch.nn.functional.one_hot(index, 3), None

    def backward(self, d_y, saved):
        return None


def test_too_few_checks_are_no_success():
    with pytest.raises(CheckError, match=r"(?s)at least 24 different checks must pass, got \d+; give it inputs that"):
        check_layer(OneHot, torch.tensor([0, 2]), modes=("train",))


class Unjudged(Module):
    """Wrong, bent too much for differences, and out of autograd's sight."""

    def forward(self, x):
        require_input(self, x)
        return (3000 * x.detach()).sin(), x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        return -3000 * (3000 * x).cos() * d_y


def test_a_layer_of_which_no_gradient_was_judged_does_not_pass():
    with pytest.raises(CheckError, match="one of autograd, finite_differences, full_jacobian, reference must pass"):
        check_layer(Unjudged, X)


class Lookup(Module):
    """y = table[index]; row 0 stands for padding, so that its gradient is zero by definition."""

    def __init__(self):
        self.table = Parameter(torch.rand(4, 3))

    def forward(self, index):
        return self.table.value[index], index

    def backward(self, d_y, index):
        d_table = torch.zeros_like(self.table.value).index_put((index,), d_y, accumulate=True)
        d_table[0] = 0
        self.table.accumulate(d_table)


class LooksUpPadding(Lookup):
    def backward(self, d_y, index):
        self.table.accumulate(torch.zeros_like(self.table.value).index_put((index,), d_y, accumulate=True))


INDEX = torch.tensor([[0, 3], [1, 1]])


@pytest.mark.parametrize("check", ["finite_differences", "full_jacobian", "autograd", "reference"])
def test_entries_that_count_as_constants_have_gradient_zero(check):
    def looked_up(parameters, index):
        return parameters["table"][index]

    named = {"checks": (check,), "modes": ("train",), "reference": looked_up}
    assert check_layer(Lookup, INDEX, constant={"table": 0}, **named).passed == [f"train/{check}"]
    with pytest.raises(CheckError, match=rf"{check}: gradient of table"):
        check_layer(Lookup, INDEX, **named)
    if check != "full_jacobian":
        with pytest.raises(CheckError, match=rf"(?s){check}: gradient of table .*constant=\{{'table': 0\}}"):
            check_layer(LooksUpPadding, INDEX, constant={"table": 0}, **named)


def test_a_constant_is_a_parameter():
    with pytest.raises(UnknownNameError, match=r"check_layer: unknown parameter 'tabel'\. Nearest: table"):
        check_layer(Lookup, INDEX, constant={"tabel": 0})
