"""Parameter and Buffer."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import (
    ArgumentError,
    AutogradError,
    Buffer,
    DtypeError,
    Module,
    Optimizer,
    Parameter,
    ShapeError,
    UninitializedBuffer,
    UninitializedParameter,
    allow_autograd,
    require_upstream,
)


def test_unpacks_as_value_and_gradient() -> None:
    parameter = Parameter(torch.ones(2))
    value, grad = parameter
    assert value is parameter.value
    assert grad is None
    parameter.accumulate(torch.ones(2))
    assert list(parameter)[1] is parameter.grad


def test_the_first_gradient_is_kept_and_later_ones_are_added() -> None:
    parameter, first, second = Parameter(torch.zeros(3)), torch.randn(3), torch.randn(3)
    total, kept = first + second, second.clone()
    parameter.accumulate(first)
    assert parameter.grad is first
    parameter.accumulate(second)
    torch.testing.assert_close(parameter.grad, total)
    torch.testing.assert_close(second, kept, rtol=0, atol=0)
    parameter.zero_grad()
    assert parameter.grad is None


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (), (3,)])
def test_a_gradient_of_another_shape_raises(shape: tuple[int, ...]) -> None:
    parameter = Parameter(torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"Parameter: gradient must have the shape of the value, \(2, 3\), got \("):
        parameter.accumulate(torch.ones(shape))
    assert parameter.grad is None


def test_a_value_of_another_shape_is_noticed() -> None:
    parameter = Parameter(torch.zeros(2, 3))
    parameter.value = torch.zeros(4)
    with pytest.raises(ShapeError, match=r"must have the shape of the value, \(4,\), got \(5,\)"):
        parameter.accumulate(torch.ones(5))
    parameter.accumulate(torch.ones(4))
    with pytest.raises(ShapeError, match=r"must have the shape of the value, \(4,\), got \(2, 3\)"):
        parameter.accumulate(torch.ones(2, 3))


def test_a_copy_checks_too() -> None:
    for made in (copy.deepcopy, lambda parameter: pickle.loads(pickle.dumps(parameter))):
        twin = made(Parameter(torch.zeros(2, 3)))
        twin.accumulate(torch.ones(2, 3))
        with pytest.raises(ShapeError):
            twin.accumulate(torch.ones(3, 2))


def test_a_frozen_one_takes_no_gradient() -> None:
    parameter = Parameter(torch.zeros(2), trainable=False)
    parameter.accumulate(torch.ones(2))
    assert parameter.grad is None
    parameter.trainable = True
    parameter.accumulate(torch.ones(2))
    assert parameter.grad is not None


@pytest.mark.parametrize("kind", [Parameter, Buffer])
def test_made_under_inference_mode_it_is_a_normal_tensor(kind: type[Parameter] | type[Buffer]) -> None:
    with torch.inference_mode():
        held = kind(torch.randn(2))
    assert not held.value.is_inference()
    held.value.add_(1)  # an inference tensor would refuse this outside


@pytest.mark.parametrize("kind", [Parameter, Buffer])
def test_shares_memory_and_leaves_autograd(kind: type[Parameter] | type[Buffer]) -> None:
    value = torch.randn(2, requires_grad=True)
    held = kind(value)
    assert held.value.data_ptr() == value.data_ptr()
    assert not held.value.requires_grad


@pytest.mark.parametrize("kind", [Parameter, Buffer])
def test_refuses_what_is_no_tensor(kind: type[Parameter] | type[Buffer]) -> None:
    with pytest.raises(ArgumentError, match=f"{kind.__name__}: value must be a tensor, got a list; convert with "):
        kind([1.0])


def test_repr() -> None:
    assert repr(Parameter(torch.zeros(2, 3))) == "Parameter((2, 3), torch.float32)"
    assert repr(Parameter(torch.zeros(2), trainable=False)) == "Parameter((2,), torch.float32, trainable=False)"
    assert repr(Buffer(torch.zeros(2, device="meta"))) == "Buffer((2,), torch.float32, meta)"


def test_a_gradient_outside_inference_mode_after_one_under_it_raises_with_the_way_out() -> None:
    parameter, later = Parameter(torch.zeros(3)), torch.randn(3)
    with torch.inference_mode():
        parameter.accumulate(torch.randn(3))
    with pytest.raises(AutogradError, match=r"Parameter: gradient must be added under inference mode .*zero_grad\(\)"):
        parameter.accumulate(later)
    parameter.zero_grad()
    parameter.accumulate(later.clone())
    with torch.inference_mode():
        parameter.accumulate(later)
    torch.testing.assert_close(parameter.grad, 2 * later)


def test_another_error_of_adding_stays_torchs() -> None:
    parameter = Parameter(torch.zeros(3))
    parameter.accumulate(torch.ones(1).expand(3))  # one number in memory, to which torch adds nothing
    with pytest.raises(RuntimeError, match="single memory location"):
        parameter.accumulate(torch.ones(3))


def test_a_gradient_on_the_meta_device_is_not_added_to_one_that_is_not() -> None:
    parameter, first = Parameter(torch.zeros(3)), torch.randn(3)
    parameter.accumulate(first.clone())
    text = "^Parameter: gradient must be on the device of the first one, cpu, got meta; move it with "
    with pytest.raises(ArgumentError, match=text):
        parameter.accumulate(torch.randn(3, device="meta"))
    assert parameter.grad is not None
    torch.testing.assert_close(parameter.grad, first)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_a_gradient_takes_the_dtype_of_the_value(dtype: torch.dtype) -> None:
    parameter, first, second = Parameter(torch.zeros(3)), torch.randn(3).to(dtype), torch.randn(3).to(dtype)
    parameter.accumulate(first.clone())
    assert parameter.grad is not None
    assert parameter.grad.dtype is torch.float32
    torch.testing.assert_close(parameter.grad, first.float())
    parameter.accumulate(second)
    torch.testing.assert_close(parameter.grad, first.float() + second.float())


def test_a_gradient_follows_a_value_that_was_moved() -> None:
    class Holder(Module):
        def __init__(self) -> None:
            self.weight = Parameter(torch.zeros(3))

    for move in (lambda net: net.to(torch.float64), lambda net: setattr(net.weight, "value", torch.zeros(3).double())):
        net = Holder()
        net.weight.accumulate(torch.ones(3))
        net.zero_grad()
        move(net)
        net.weight.accumulate(torch.ones(3, dtype=torch.float64))
        assert net.weight.grad.dtype is torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_a_gradient_in_the_dtype_that_the_value_had_before_takes_that_of_now(dtype: torch.dtype) -> None:
    parameter = Parameter(torch.zeros(3))
    parameter.value = parameter.value.to(dtype)
    parameter.accumulate(torch.tensor([1.5, -2.0, 0.25]))
    assert parameter.grad is not None
    assert parameter.grad.dtype is dtype
    parameter.accumulate(torch.tensor([0.5, 1.0, -0.25]))
    torch.testing.assert_close(parameter.grad, torch.tensor([2.0, -1.0, 0.0], dtype=dtype))


def test_a_gradient_of_the_shape_that_the_value_had_before_is_refused() -> None:
    parameter = Parameter(torch.zeros(3))
    parameter.value = torch.zeros(1)
    with pytest.raises(ShapeError, match=r"Parameter: gradient must have the shape of the value, \(1,\), got \(3,\)"):
        parameter.accumulate(torch.randn(3))


def test_a_complex_gradient_of_a_real_value_is_refused() -> None:
    parameter = Parameter(torch.zeros(3))
    with pytest.raises(DtypeError, match=r"Parameter: gradient must be real, as the value is, got torch\.complex64"):
        parameter.accumulate(torch.ones(3, dtype=torch.complex64))
    assert parameter.grad is None


@pytest.mark.parametrize(
    ("gradient", "kind"),
    [(None, "None"), (np.zeros(3), "a NumPy array"), (1.0, "a float"), ((torch.zeros(3),), "a tuple")],
    ids=str,
)
def test_a_gradient_that_is_no_tensor_is_refused(gradient: Any, kind: str) -> None:
    parameter = Parameter(torch.zeros(3))
    with pytest.raises(ArgumentError, match=f"Parameter: gradient must be a tensor, got {kind}"):
        parameter.accumulate(gradient)


def test_a_complex_gradient_of_a_real_value_is_refused_when_it_is_added_too() -> None:
    parameter = Parameter(torch.zeros(2))
    parameter.accumulate(torch.ones(2))
    with pytest.raises(DtypeError, match=r"Parameter: gradient must be real, as the value is, got torch\.complex64"):
        parameter.accumulate(torch.ones(2, dtype=torch.complex64))
    assert list(parameter)[1].tolist() == [1.0, 1.0]  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_whole_numbers_are_not_trained(dtype: torch.dtype) -> None:
    with pytest.raises(DtypeError, match=r"Parameter: value must be floating point to be trained, .*keep it in a Buf"):
        Parameter(torch.ones(2, dtype=dtype))
    assert Buffer(torch.ones(2, dtype=dtype)).value.dtype is dtype
    assert Parameter(torch.ones(2, dtype=dtype), trainable=False).value.dtype is dtype


@pytest.mark.parametrize("kind", [Parameter, Buffer, UninitializedParameter, UninitializedBuffer])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "None"),
        ([1.0, 2.0], "a list"),
        (np.ones(2), "a NumPy array"),
        (2.5, "a float"),
        (3, "an int"),
        (Parameter(torch.ones(2)), "a Parameter"),
    ],
    ids=["None", "list", "NumPy", "float", "int", "Parameter"],
)
def test_a_value_set_to_what_is_no_tensor_is_refused_at_once(kind: Any, value: Any, told: str) -> None:
    lazy, before = kind in (UninitializedParameter, UninitializedBuffer), torch.randn(3, 2)
    held = kind() if lazy else kind(before)
    name = kind.__name__.removeprefix("Uninitialized")
    with pytest.raises(
        ArgumentError, match=rf"^{name}: value must be a tensor, got {told}; convert with torch\.as_tensor\(value\)$"
    ):
        held.value = value
    assert type(held) is kind
    if not lazy:
        torch.testing.assert_close(held.value, before, rtol=0, atol=0)
    held.value = torch.randn(4)  # and a tensor is still taken
    assert held.value.shape == (4,)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.uint8, torch.bool])
def test_a_value_replaced_by_whole_numbers_is_refused_where_it_is_trained(dtype: torch.dtype) -> None:
    value = torch.randn(3)
    parameter, frozen, buffer = Parameter(value), Parameter(value, trainable=False), Buffer(value)
    with pytest.raises(
        DtypeError, match=rf"^Parameter: value must be floating point to be trained, got {dtype}; convert with \.float"
    ):
        parameter.value = torch.ones(3, dtype=dtype)
    assert parameter.value.dtype is torch.float32
    for held in (frozen, buffer):
        held.value = torch.ones(3, dtype=dtype)
        assert held.value.dtype is dtype
    parameter.value = torch.ones(3, dtype=torch.complex64)
    assert parameter.value.dtype is torch.complex64


def test_a_value_of_autograd_is_kept_outside_of_it() -> None:
    theirs = torch.nn.Parameter(torch.randn(2, 3))
    for held in (Parameter(torch.zeros(1)), Buffer(torch.zeros(1)), UninitializedParameter(), UninitializedBuffer()):
        held.value = theirs
        assert type(held.value) is torch.Tensor
        assert held.value.data_ptr() == theirs.data_ptr()
        assert not held.value.requires_grad
        plain = torch.randn(4)
        held.value = plain
        assert held.value is plain
        with allow_autograd():
            held.value = theirs
        assert held.value is theirs


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_gradient_is_refused_by_name() -> None:
    class Descent(Optimizer):
        def update(self, values: Any, grads: Any, states: Any, group: Any) -> None:
            for value, grad in zip(values, grads, strict=True):
                value.sub_(grad)

    parameter, nested = Parameter(torch.randn(3)), torch.nested.nested_tensor([torch.randn(3)])
    rule = "must be a dense tensor, got a nested one; add up its parts$"
    with pytest.raises(DtypeError, match=f"^Parameter: gradient {rule}"):
        parameter.accumulate(nested)
    with pytest.raises(
        DtypeError, match=r"^Module: d_y must be a dense tensor of plain numbers, got a nested one; pad"
    ):
        require_upstream(Module(), nested, (1, 3))
    optimizer = Descent([parameter], {})
    for _ in range(2):  # before the first step, and after one
        before, parameter.grad = parameter.value.clone(), nested
        with pytest.raises(DtypeError, match=f"^Descent: gradient of parameter 0 {rule}"):
            optimizer.step()
        torch.testing.assert_close(parameter.value, before, rtol=0, atol=0)
        parameter.grad = torch.randn(3)
        optimizer.step()
        torch.testing.assert_close(parameter.value, before - parameter.grad)
