"""Parameters and buffers that have no value yet."""

import copy
import doctest
import pickle

import pytest
import torch

from mytorch.core import (
    Buffer,
    Module,
    MytorchError,
    Parameter,
    UninitializedBuffer,
    UninitializedError,
    UninitializedParameter,
    require_initialized,
)
from mytorch.core import uninitialized as tested

KINDS = (UninitializedParameter, UninitializedBuffer)


class Holder(Module):
    def __init__(self):
        self.weight, self.mean, self.gain = UninitializedParameter(), UninitializedBuffer(), Parameter(torch.ones(2))


def test_the_examples():
    assert doctest.testmod(tested).failed == 0
    assert doctest.testmod(tested).attempted > 8


@pytest.mark.parametrize("kind", KINDS)
def test_reading_the_value_says_what_to_do(kind):
    name = kind.__name__.removeprefix("Uninitialized")
    text = (
        f"^{name}: value must have a shape before it is read, got a lazy one without; run one batch through the model,"
    )
    with pytest.raises(UninitializedError, match=text):
        kind().value.sum()
    assert issubclass(UninitializedError, MytorchError)
    assert issubclass(UninitializedError, AttributeError)
    assert not hasattr(kind(), "value")


@pytest.mark.parametrize(("kind", "plain"), list(zip(KINDS, (Parameter, Buffer), strict=True)))
def test_a_value_makes_it_an_ordinary_one_and_it_stays_the_same_object(kind, plain):
    held = kind(dtype=torch.float64)
    same = held
    assert (held.initialized, held.dtype, held.device.type) == (False, torch.float64, "cpu")
    held.value = torch.zeros(2, 3, dtype=held.dtype)
    assert type(held) is plain
    assert same is held
    assert held.initialized
    assert not hasattr(held, "dtype")


def test_gradients_once_there_is_a_value():
    parameter = UninitializedParameter()
    with pytest.raises(UninitializedError, match="Parameter: value must have a shape"):
        parameter.accumulate(torch.ones(3))
    parameter.value = torch.zeros(3)
    d_value = torch.randn(3)
    parameter.accumulate(d_value.clone())
    torch.testing.assert_close(parameter.grad, d_value)
    frozen = UninitializedParameter(trainable=False)
    frozen.accumulate(torch.ones(3))
    assert frozen.grad is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda held: pickle.loads(pickle.dumps(held))])
def test_copies_have_no_value_either(kind, duplicate):
    held = kind(dtype=torch.float64)
    other = duplicate(held)
    assert (type(other), other.dtype) == (kind, torch.float64)
    other.value = torch.zeros(2)
    assert not held.initialized


def test_a_module_tells_place_and_dtype_to_come():
    holder = Holder().double()
    assert (holder.weight.dtype, holder.mean.dtype, holder.gain.value.dtype) == (torch.float64,) * 3
    holder.to("meta")
    assert (holder.weight.device.type, holder.mean.device.type) == ("meta", "meta")
    assert repr(holder.weight) == "UninitializedParameter(torch.float64, meta)"
    assert repr(holder.mean) == "UninitializedBuffer(torch.float64, meta)"
    assert Holder().half().weight.dtype is torch.float16


def test_it_is_listed_frozen_and_cleared_as_any_other():
    holder = Holder()
    assert [name for name, _ in holder.named_param()] == ["weight", "gain"]
    assert [name for name, _ in holder.named_buffer()] == ["mean"]
    holder.requires_grad_(False)
    holder.zero_grad()
    holder.train().eval()
    assert not holder.weight.trainable
    holder.weight.value = torch.zeros(2)
    assert not holder.weight.trainable


def test_what_needs_values_names_all_that_have_none():
    with pytest.raises(UninitializedError) as info:
        Holder().state_dict()
    assert str(info.value) == (
        "Holder: every parameter and buffer must have its shape, got lazy ones without: weight, mean; "
        "run one batch through the model, or load a state dict, first"
    )
    require_initialized("anybody", [("gain", Parameter(torch.ones(2)))])
