"""Lazy layers that take their sizes wrongly, beside a right twin."""

import pytest
import torch

from mytorch.core import (
    LazyModule,
    Module,
    Parameter,
    UninitializedParameter,
    require_last_axis,
    require_upstream,
)
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Scale(Module):
    """y = gain * x"""

    def __init__(self, dim):
        self.dim = dim
        self.gain = Parameter(torch.rand(dim))

    def forward(self, x):
        require_last_axis(self, x, self.dim)
        return self.gain.value * x, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, self.dim).sum(0))
        return self.gain.value * d_y if self.input_grad else None


class LazyScale(LazyModule):
    becomes = Scale

    def __init__(self):
        self.gain = UninitializedParameter()

    def sizes_of_input(self, x):
        require_last_axis(self, x, x.shape[-1] if isinstance(x, torch.Tensor) else 0)
        return {"dim": x.shape[-1]}

    def sizes_of_state(self, state):
        return {"dim": len(state["gain"])}


class ReadsTheWrongSize(LazyScale):
    def sizes_of_state(self, state):
        return {"dim": len(state["gain"]) + 1}


class AsksNothing(LazyScale):
    def sizes_of_input(self, x):
        return {"dim": x.shape[-1]}


class TakesLists(LazyScale):
    def forward(self, x):
        return super().forward(torch.as_tensor(x, dtype=torch.float64))


class MeasuresLists(LazyScale):
    def forward(self, x):
        self.gain.value = torch.rand(len(x[0]), dtype=self.gain.dtype)
        self.dim = len(x[0])
        self.__class__ = Scale
        return self.forward(x)


class ByHand(Module):
    """Gives its parameter a value by itself."""

    def __init__(self):
        self.gain = UninitializedParameter()

    def forward(self, x):
        if not self.gain.initialized:
            require_last_axis(self, x, x.shape[-1])
            self.gain.value = torch.rand(x.shape[-1], dtype=self.gain.dtype)
        require_last_axis(self, x, self.gain.value.shape[0])
        return self.gain.value * x, x

    backward = Scale.backward


class ByHandButLoads(ByHand):
    def fitted_to(self, state):
        return Scale(len(state["gain"])).double()

    def take_over(self, layer):
        self.gain.value = layer.gain.value


def fault(factory, check):
    with pytest.raises(CheckError) as info:
        check_layer(factory, X, checks=(check,), tags=("lazy",))
    return str(info.value).splitlines()[0]


def test_a_right_one_passes():
    report = check_layer(LazyScale, X, tags=("lazy",), reference=lambda parameters, x: parameters["gain"] * x)
    assert {"train/lazy_sizes", "eval/lazy_refusals"} <= set(report.passed)
    assert report.skipped == {}


def test_a_size_that_is_read_wrongly_from_a_state():
    told = fault(ReadsTheWrongSize, "lazy_sizes")
    assert "a new module must load the state of one that has run, got " in told
    assert "gain must have shape (4,), got (3,)" in told


def test_one_that_does_not_load_a_state_at_all():
    assert "gain must come with tensors that tell the sizes of its lazy layer" in fault(ByHand, "lazy_sizes")


def test_weights_that_are_made_under_inference_mode():
    told = fault(ByHandButLoads, "lazy_sizes")
    assert "must make its tensors outside of inference mode, or they could not be trained after it, got gain" in told


def test_a_list_as_first_input():
    rule = "a list as first input of a new module must raise an error of the project, got"
    assert f"{rule} AttributeError: 'list' object has no attribute 'shape'" in fault(AsksNothing, "lazy_refusals")
    assert f"{rule} an output" in fault(TakesLists, "lazy_refusals")
    assert "a new module must stay lazy after a first input that was refused" in fault(MeasuresLists, "lazy_refusals")


def test_the_tag_is_asked_for():
    with pytest.raises(
        CheckError, match="tags must name 'lazy' for a module that takes its sizes from its first input"
    ):
        check_layer(LazyScale, X)


def test_others_have_no_such_checks():
    report = check_layer(lambda: Scale(3), X)
    assert not any("lazy" in name for name in [*report.passed, *report.skipped])
