"""Modules that break the rules by which values are passed, beside right twins."""

import pytest
import torch

from mytorch.core import Module, Parameter, require_last_axis, require_upstream
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Scale(Module):
    """The right twin: y = gain * x + bias."""

    def __init__(self):
        self.gain, self.bias = Parameter(torch.rand(3)), Parameter(torch.rand(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.gain.value * x + self.bias.value, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        self.bias.accumulate(d_y.reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class Replaces(Scale):
    """Two backwards of one forward each, of which the second forgets the first."""

    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        self.gain.grad = (d_y * x).reshape(-1, 3).sum(0)
        return d_x


WRONG = [
    (Replaces, Scale, "shared_module", "gradient of gain must be the sum over both uses of a shared module"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


class TwoOutputs(Scale):
    """y and the square of x, either of which may not be used."""

    def forward(self, x):
        return (super().forward(x)[0], x.square()), x

    def backward(self, d_output, x):
        d_y, d_square = d_output
        d_x = None if d_y is None else super().backward(d_y, x)
        if d_square is None:
            return d_x
        return 2 * x * d_square if d_x is None else d_x + 2 * x * d_square


class NeedsBoth(TwoOutputs):
    def backward(self, d_output, x):
        d_y, d_square = d_output
        return Scale.backward(self, d_y, x) + 2 * x * d_square


def test_an_output_that_was_not_used_counts_as_zeros():
    text = r"structure: backward must take None upstream of output\[0\], which was not used, got ShapeError"
    with pytest.raises(CheckError, match=text):
        check_layer(NeedsBoth, X, checks=("structure",))
    assert check_layer(TwoOutputs, X, checks=("structure",)).passed == ["train/structure", "eval/structure"]


class Nested(Scale):
    """y, and a pair of its square and cube, as a recurrent layer returns a sequence and a pair of states."""

    def forward(self, x):
        y, _ = super().forward(x)
        return (y, (x.square(), x**3)), x

    def backward(self, d_output, x):
        d_y, d_pair = d_output
        d_square, d_cube = (None, None) if d_pair is None else d_pair
        d_x = torch.zeros_like(x) if d_y is None else super().backward(d_y, x)
        if d_square is not None:
            d_x = d_x + 2 * x * d_square
        return d_x if d_cube is None else d_x + 3 * x * x * d_cube


class NeedsThePair(Nested):
    def backward(self, d_output, x):
        d_y, (d_square, d_cube) = d_output
        return super().backward((d_y, (d_square, d_cube)), x)


class NeedsTheCube(Nested):
    def backward(self, d_output, x):
        d_y, d_pair = d_output
        if d_pair is None:
            return super().backward((d_y, None), x)
        return super().backward((d_y, (d_pair[0], None)), x) + 3 * x * x * d_pair[1]


def test_none_may_stand_for_a_pair_of_outputs_and_inside_of_it():
    for wrong, place in ((NeedsThePair, r"output\[1\]"), (NeedsTheCube, r"output\[1\]\[1\]")):
        with pytest.raises(CheckError, match=f"structure: backward must take None upstream of {place}, which was not"):
            check_layer(wrong, X, checks=("structure",))
    assert check_layer(Nested, X, checks=("structure",)).passed == ["train/structure", "eval/structure"]


class Sum(Module):
    """y = x * other + hx, where hx may be left out; one gradient for each input that was passed."""

    def forward(self, x, other, hx=None):
        return x * other if hx is None else x * other + hx, (x, other, hx is not None)

    def backward(self, d_y, saved):
        x, other, with_hx = saved
        return (d_y * other, d_y * x, d_y) if with_hx else (d_y * other, d_y * x)


class AnswersWithNone(Sum):
    """An optional input that is None is answered by None, which is as good."""

    def forward(self, x, other, *hx):
        return super().forward(x, other, *hx)[0], (x, other, [entry is not None for entry in hx])

    def backward(self, d_y, saved):
        x, other, passed = saved
        return (d_y * other, d_y * x, *(d_y if there else None for there in passed))


class TakesItForCertain(Sum):
    def backward(self, d_y, saved):
        return (*super().backward(d_y, saved)[:2], d_y)


class NeedsIt(Sum):
    def forward(self, x, other, hx=None):
        return x * other + hx, (x, other, True)


class WrongWithoutIt(Sum):
    def backward(self, d_y, saved):
        d_x, d_other, *rest = super().backward(d_y, saved)
        return (d_x, d_other, *rest) if rest else (d_other, d_x)


class CollectsByTensor(Sum):
    """Adds up what belongs to one tensor, so that the first place gets the gradients of both."""

    def forward(self, x, other, hx=None):
        return super().forward(x, other, hx)[0], (x, other, hx is not None, x is other)

    def backward(self, d_y, saved):
        *saved, one = saved
        d_x, d_other, *rest = super().backward(d_y, saved)
        return (d_x + d_other, torch.zeros_like(d_x), *rest) if one else (d_x, d_other, *rest)


INPUTS = tuple(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3))


@pytest.mark.parametrize(
    ("wrong", "check", "text"),
    [
        (
            TakesItForCertain,
            "optional_inputs",
            "backward must return a tuple of 2 gradients, one for each input",
        ),
        (NeedsIt, "optional_inputs", r"forward\(x: \(4, 3\) float64, other: \(4, 3\) float64\) must not raise"),
        (WrongWithoutIt, "optional_inputs", "gradient of x must match autograd"),
        (
            CollectsByTensor,
            "same_tensor",
            "gradient of x must be the same where inputs 1 and 2 are one tensor",
        ),
    ],
)
def test_optional_inputs_and_one_tensor_in_two_places(wrong, check, text):
    with pytest.raises(CheckError, match=f"{wrong.__name__}.*{check}: .*{text}"):
        check_layer(wrong, *INPUTS, checks=(check,))
    for right in (Sum, AnswersWithNone):
        assert check_layer(right, *INPUTS, modes=("train",), checks=(check,)).passed == [f"train/{check}"]


def test_a_layer_of_one_input_is_not_asked_about_several():
    assert not {"train/optional_inputs", "train/same_tensor"} & {*check_layer(Scale, X, modes=("train",)).passed}
    report = check_layer(Sum, *INPUTS[:2], modes=("train",), checks=("optional_inputs",))
    assert report.skipped == {"train/optional_inputs": "no optional input is given"}


class ReturnsTriple(Scale):
    def forward(self, x):
        return (*super().forward(x), None)


class ReturnsTensorOfTwoRows(Scale):
    def forward(self, x):
        return super().forward(x)[0][:2]


@pytest.mark.parametrize(("wrong", "got"), [(ReturnsTriple, "a tuple of 3"), (ReturnsTensorOfTwoRows, "Tensor")])
def test_a_forward_returns_a_pair(wrong, got):
    with pytest.raises(CheckError, match=rf"pair: forward must return \(output, saved\), a tuple of two, got {got}"):
        check_layer(wrong, X, checks=("pair",))
    assert check_layer(Scale, X, modes=("eval",), checks=("pair",)).passed == ["eval/pair"]


class Masked(Module):
    """y = gain * x * mask, where mask has a number for each row; without one all rows count."""

    def __init__(self):
        self.gain = Parameter(torch.rand(3))

    def forward(self, x, *, mask=None):
        require_last_axis(self, x, 3)
        kept = x if mask is None else x * mask[..., None]
        return self.gain.value * kept, (kept, mask)

    def backward(self, d_y, saved):
        kept, mask = saved
        require_upstream(self, d_y, kept.shape)
        self.gain.accumulate((d_y * kept).reshape(-1, 3).sum(0))
        d_x = self.gain.value * d_y
        return d_x if mask is None else d_x * mask[..., None]


class ForgetsMask(Masked):
    def backward(self, d_y, saved):
        return super().backward(d_y, (saved[0], None))


class WritesMask(Masked):
    def forward(self, x, *, mask=None):
        y, saved = super().forward(x, mask=mask)
        return y, (saved[0], mask.clone(), mask.zero_())[:2]


def test_keyword_options_are_passed_and_written_out():
    mask = torch.tensor([1.0, 0.0, 1.0, 0.5])
    report = check_layer(Masked, X, options={"mask": mask})
    assert {name.rpartition("/")[2] for name in report.skipped} <= {"bad_shapes"}
    with pytest.raises(CheckError, match=r"(?s)gradient of x must match.*options=\{'mask': torch.rand\(\(4,\)"):
        check_layer(ForgetsMask, X, options={"mask": mask})
    with pytest.raises(
        CheckError, match=r"nothing_written: option\['mask'\] must not be written into, but forward did"
    ):
        check_layer(WritesMask, X, options={"mask": mask}, checks=("nothing_written",))
