"""Layers that treat the rows of a batch wrongly, beside right twins."""

import pytest
import torch

from mytorch.core import EachSample, Module, Parameter, ShapeError, require_input, require_last_axis, require_upstream
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
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        self.bias.accumulate(d_y.reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class CentersBatch(Module):
    def forward(self, x):
        require_input(self, x)
        return x - x.mean(0), x.shape

    def backward(self, d_y, shape):
        require_upstream(self, d_y, shape)
        return d_y - d_y.mean(0)


class CentersRow(Module):
    def forward(self, x):
        return x - x.mean(-1, keepdim=True), None

    def backward(self, d_y, saved):
        return d_y - d_y.mean(-1, keepdim=True)


class OnlyMatrices(Scale):
    def forward(self, x):
        if x.dim() != 2:
            raise ShapeError(f"OnlyMatrices: input must have 2 axes, got {x.dim()}")
        return super().forward(x)


class SumsFirstAxisOnly(Scale):
    def backward(self, d_y, x):
        d_gain = (d_y * x).sum(0)
        self.gain.accumulate(d_gain if d_gain.dim() == 1 else d_gain[0])
        return self.gain.value * d_y


class WrongWhenEmpty(Scale):
    def backward(self, d_y, x):
        self.gain.accumulate(torch.full((3,), 1e-3).to(x) if not len(x) else (d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y


class WrongWhenSingle(Scale):
    def backward(self, d_y, x):
        d_x = super().backward(d_y, x)
        return d_x * 0 if len(x) == 1 else d_x


class States(Scale):
    def sample_gradients(self, d_y, x, axis):
        return {"gain": EachSample(d_y * x), "bias": EachSample(d_y)}


class StatesSums(Scale):
    def sample_gradients(self, d_y, x, axis):
        return {"gain": EachSample(d_y * x), "bias": EachSample(d_y.cumsum(axis))}


class AddsWhatItStates(States):
    def sample_gradients(self, d_y, x, axis):
        self.backward(d_y, x)
        return super().sample_gradients(d_y, x, axis)


WRONG = [
    (StatesSums, States, "batch_invariance", "row 1 of the stated gradient of bias must be that of the row alone"),
    (
        AddsWhatItStates,
        States,
        "batch_invariance",
        "sample_gradients must add nothing to gradients, got a gradient of",
    ),
    (CentersBatch, CentersRow, "batch_invariance", "row 0 of output must be the same alone and in a batch"),
    (OnlyMatrices, Scale, "leading_dimensions", "must take additional leading axes .tag fixed_dimensions"),
    (SumsFirstAxisOnly, Scale, "leading_dimensions", "gradient of gain must match autograd"),
    (WrongWhenEmpty, Scale, "empty_batch", "gradient of gain must be zero for an empty batch, got 0.001"),
    (WrongWhenSingle, Scale, "single_row", r"gradient of x must match autograd"),
]


@pytest.mark.parametrize(("wrong", "right", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, right, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}\(\): {check}: .*{text}.*reproduce: check_layer"):
        check_layer(wrong, X, checks=(check,))
    assert check_layer(right, X, checks=(check,)).passed == [f"train/{check}", f"eval/{check}"]


def test_a_tag_turns_off_what_does_not_apply():
    report = check_layer(CentersBatch, X, tags=("mixes_batch",), modes=("train",))
    assert report.skipped["train/batch_invariance"] == "tag mixes_batch"


class Standardised(Module):
    """Each column gets mean 0 by the batch; a row alone has no such thing."""

    def forward(self, x):
        if x.shape[0] < 2:
            raise ShapeError(f"Standardised: batch must have 2 rows or more, got {x.shape[0]}")
        return x - x.mean(0), None

    def backward(self, d_y, saved):
        return d_y - d_y.mean(0)


class Chain(Module):
    """Layers one after the other."""

    def __init__(self, *layers: Module):
        self.layers = list(layers)

    def forward(self, x):
        saved = []
        for layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y, saved):
        for layer, kept in zip(reversed(self.layers), reversed(saved), strict=True):
            d_y = layer.backward(d_y, kept)
        return d_y


@pytest.mark.parametrize(
    ("check", "what"),
    [("batch_invariance", "a row alone"), ("single_row", "a row alone"), ("empty_batch", "a batch without rows")],
)
def test_a_chain_with_a_layer_that_needs_several_rows_is_told_the_tag(check, what):
    def chain():
        return Chain(Scale(), Standardised())

    text = rf"{check}: {what} must be taken \(tag mixes_batch otherwise\), got ShapeError: Standardised"
    with pytest.raises(CheckError, match=text):
        check_layer(chain, X, checks=(check,))
    report = check_layer(chain, X, checks=(check,), tags=("mixes_batch",), modes=("train",))
    assert report.skipped == {f"train/{check}": "tag mixes_batch"}
    assert check_layer(lambda: Chain(Scale(), Scale()), X, checks=(check,), modes=("train",)).passed


class Sequence(Module):
    """y_t = sum of x up to step t, for every row of the batch by itself; x, y: (steps, batch, channels)"""

    def forward(self, x):
        if x.dim() != 3:
            raise ShapeError(f"Sequence: x must be (steps, batch, channels), got {tuple(x.shape)}")
        return x.cumsum(0), None

    def backward(self, d_y, saved):
        return d_y.flip(0).cumsum(0).flip(0)


class MixesRows(Sequence):
    """The rows of a batch run into each other."""

    def forward(self, x):
        y, saved = super().forward(x)
        return y + x.mean(1, keepdim=True), saved

    def backward(self, d_y, saved):
        return super().backward(d_y, saved) + d_y.mean(1, keepdim=True)


def test_a_layer_whose_batch_axis_is_the_second_says_so_by_a_tag():
    named = {"checks": ("batch_invariance", "single_row", "empty_batch"), "modes": ("train",)}
    tags = ("sequence_first", "fixed_dimensions")
    sequence = torch.randn(5, 2, 3)
    report = check_layer(Sequence, sequence, tags=tags, **named)
    assert report.passed == ["train/batch_invariance", "train/single_row", "train/empty_batch"]
    with pytest.raises(CheckError, match=r"row 0 of output must be the same alone and in a batch \(tag mixes_batch"):
        check_layer(MixesRows, sequence, tags=tags, **named)
    with pytest.raises(CheckError, match=r"row 0 of gradient of x|row 1 of output"):
        check_layer(Sequence, sequence, **named)


class LastFirst(Module):
    """The batch axis of its second output is not that of its input, as that of an LSTM's last state."""

    def forward(self, x):
        return (x, x.transpose(0, 1)[-1:]), x.shape

    def backward(self, d_output, shape):
        d_y, d_last = d_output
        d_x = torch.zeros(shape, dtype=d_last.dtype) if d_y is None else d_y.clone()
        if d_last is not None:
            d_x[:, -1:] += d_last.transpose(0, 1)
        return d_x


class LastMixes(LastFirst):
    def forward(self, x):
        (y, last), saved = super().forward(x)
        return (y, last + x.mean()), saved


def test_each_output_is_cut_along_the_axis_that_counts_its_rows():
    x, named = torch.randn(4, 2, 3), {"checks": ("batch_invariance",), "modes": ("train",)}
    assert check_layer(LastFirst, x, **named).passed == ["train/batch_invariance"]
    with pytest.raises(CheckError, match=r"row 0 of output\[1\] must be the same alone and in a batch"):
        check_layer(LastMixes, x, **named)


class Shifted(Module):
    """y = x + hx; the rows of x are along its first axis, those of hx along its second, as those of a state."""

    def forward(self, x, hx=None):
        require_input(self, x)
        if hx is None:
            return x, (x.shape, False)
        require_input(self, hx)
        return x + hx.transpose(0, 1), (x.shape, True)

    def backward(self, d_y, saved):
        shape, was_passed = saved
        require_upstream(self, d_y, shape)
        return (d_y, d_y.sum(1, keepdim=True).transpose(0, 1)) if was_passed else d_y


class ShiftedByAll(Shifted):
    def backward(self, d_y, saved):
        d_x, d_hx = super().backward(d_y, saved)
        return d_x, d_hx + 0 * d_hx if len(d_y) == 1 else d_hx.flip(1)


def test_each_input_is_cut_along_the_axis_that_counts_its_rows():
    named = {"checks": ("batch_invariance", "single_row", "empty_batch"), "modes": ("train",)}
    report = check_layer(Shifted, (4, 2, 3), (1, 4, 3), tags=("fixed_dimensions",), **named)
    assert report.passed == ["train/batch_invariance", "train/single_row", "train/empty_batch"]
    with pytest.raises(CheckError, match="row 0 of gradient of hx must be the same alone and in a batch"):
        check_layer(ShiftedByAll, (4, 2, 3), (1, 4, 3), tags=("fixed_dimensions",), **named)


class RowMask(Module):
    """y = x * mask, with a mask for each row."""

    def forward(self, x, *, mask):
        require_input(self, x)
        return x * mask[..., None], (mask, x.shape)

    def backward(self, d_y, saved):
        mask, shape = saved
        require_upstream(self, d_y, shape)
        return d_y * mask[..., None]


def test_an_option_that_has_rows_is_cut_with_the_input():
    report = check_layer(RowMask, X, options={"mask": torch.rand(4)}, modes=("train",))
    assert {"train/batch_invariance", "train/single_row", "train/leading_dimensions"} < {*report.passed}
