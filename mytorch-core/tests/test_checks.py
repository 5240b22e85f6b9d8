"""The checks that layers call, and what their errors say."""

import re
import warnings
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import (
    ArgumentError,
    AutogradError,
    ContractError,
    DtypeError,
    Module,
    ShapeError,
    allow_autograd,
    require_choice,
    require_device,
    require_dimensions,
    require_flag,
    require_floating,
    require_floating_dtype,
    require_input,
    require_last_axis,
    require_like,
    require_no_grad,
    require_pair,
    require_path,
    require_range,
    require_real,
    require_same_shape,
    require_upstream,
    require_whole,
)


class Layer(Module):
    pass


def test_an_input_that_requires_grad_raises_with_the_way_out() -> None:
    x = torch.randn(2, requires_grad=True)
    message = r"Layer: x must not require grad.* pass x\.detach\(\), or work under torch\.inference_mode\(\)"
    for check in (
        lambda: require_no_grad(Layer(), x),
        lambda: require_last_axis(Layer(), x, 2),
        lambda: require_dimensions(Layer(), x, 1),
        lambda: require_input(Layer(), x),
    ):
        with pytest.raises(AutogradError, match=message):
            check()


def test_an_input_that_requires_grad_passes_where_autograd_records_nothing() -> None:
    x = torch.randn(2, requires_grad=True)
    with torch.no_grad():
        require_no_grad(Layer(), x)
    with torch.inference_mode():
        require_no_grad(Layer(), x)
    with allow_autograd():
        require_no_grad(Layer(), x)
    with pytest.raises(AutogradError):
        require_no_grad(Layer(), x)


def test_shapes_name_the_rule_and_what_came() -> None:
    x = torch.zeros(4, 3)
    require_last_axis(Layer(), x, 3)
    require_dimensions(Layer(), x, 2, 3)
    require_same_shape(Layer(), x, torch.zeros(4, 3))
    with pytest.raises(ShapeError, match=r"Layer: last axis of x must be 5, got 3 in a tensor of \(4, 3\)"):
        require_last_axis(Layer(), x, 5)
    with pytest.raises(ShapeError, match=r"last axis of query must be 5, got no axis in a tensor of \(\)"):
        require_last_axis(Layer(), torch.tensor(1.0), 5, "query")
    with pytest.raises(ShapeError, match=r"Layer: x must have 3 or 4 axes, got 2 in \(4, 3\)"):
        require_dimensions(Layer(), x, 3, 4)
    with pytest.raises(ShapeError, match=r"target must have the shape of the prediction, \(4, 3\), got \(3,\)$"):
        require_same_shape(Layer(), x, torch.zeros(3))
    with pytest.raises(ShapeError, match=r"got \(12,\); target\.reshape\(4, 3\) would fit"):
        require_same_shape(Layer(), x, torch.zeros(12))


def test_dtypes_choices_and_ranges() -> None:
    with pytest.raises(DtypeError, match=r"Layer: x must be floating point, got torch\.int64; convert with"):
        require_floating(Layer(), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="Layer: mode must be one of a, b, got 'c'"):
        require_choice(Layer(), "mode", "c", ("a", "b"))
    with pytest.raises(ArgumentError, match=r"p must be between 0 and 1, got 1\.5"):
        require_range("Drop", "p", 1.5, 0, 1)
    with pytest.raises(ArgumentError, match="Drop: p must be at least 0, got nan"):
        require_range("Drop", "p", float("nan"), 0)
    require_range("Drop", "p", torch.tensor(0.5), 0, 1)


@pytest.mark.parametrize("value", ["fast", None, True])
def test_a_range_is_for_numbers(value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"SGD: lr must be a number, got {value!r}"):
        require_range("SGD", "lr", value, 0.0)


@pytest.mark.parametrize("value", [2.5, True, "3", None, -1, torch.tensor(3)], ids=str)
def test_a_size_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"Linear: in_features must be a whole number of at least 0, got "):
        require_whole("Linear", "in_features", value)
    require_whole("Linear", "in_features", 0)
    with pytest.raises(ArgumentError, match="Conv: groups must be a whole number of at least 1, got 0"):
        require_whole("Conv", "groups", 0, 1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64, "float32"], ids=str)
def test_weights_are_floating_point(dtype: Any) -> None:
    with pytest.raises(ArgumentError, match="Layer: dtype must be floating point, since weights are trained, got "):
        require_floating_dtype(Layer(), dtype)
    for allowed in (None, torch.float64, torch.bfloat16):
        require_floating_dtype(Layer(), allowed)


@pytest.mark.parametrize("device", ["cdua", "", 1.5, [0]], ids=repr)
def test_a_device_is_one_that_torch_knows(device: Any) -> None:
    text = f"Layer: device must be one that torch knows, such as cpu or cuda:0, got {device!r}"
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        require_device(Layer(), device)
    for allowed in ("cpu", "meta", "cuda:0", torch.device("cpu")):
        assert require_device(Layer(), allowed) == torch.device(allowed)
    assert require_device(Layer(), None) is None


NO_TENSORS = [(np.zeros(2), "a NumPy array"), ([1.0], "a list"), (1.0, "a float"), (None, "None")]


@pytest.mark.parametrize(("x", "kind"), NO_TENSORS, ids=str)
def test_what_is_no_tensor_is_refused_with_the_way_out(x: Any, kind: str) -> None:
    text = rf"^Layer: query must be a tensor, got {kind}; convert with torch\.as_tensor\(query\)$"
    for check in (
        lambda: require_input(Layer(), x, "query"),
        lambda: require_last_axis(Layer(), x, 2, "query"),
        lambda: require_dimensions(Layer(), x, 1, name="query"),
    ):
        with pytest.raises(ArgumentError, match=text):
            check()
    for pair, name in (((x, torch.zeros(1)), "prediction"), ((torch.zeros(1), x), "target")):
        with pytest.raises(ArgumentError, match=f"Layer: {name} must be a tensor, got {kind}"):
            require_same_shape(Layer(), *pair)


WRONG_UPSTREAM = [
    *((torch.zeros(shape), str(shape)) for shape in [(3,), (1, 3), (4, 1), (3, 4), (12,), (), (4, 3, 1)]),
    *NO_TENSORS,
]


@pytest.mark.parametrize(("d_y", "got"), WRONG_UPSTREAM, ids=str)
def test_an_upstream_gradient_has_the_shape_of_the_output(d_y: Any, got: str) -> None:
    with pytest.raises(ShapeError) as caught:
        require_upstream(Layer(), d_y, torch.Size([4, 3]))
    assert str(caught.value) == f"Layer: d_y must have the shape of the output, (4, 3), got {got}"


def test_an_upstream_gradient_has_the_name_of_its_output() -> None:
    require_upstream(Layer(), torch.zeros(2, 3), (2, 3))
    require_upstream(Layer(), torch.zeros(()), ())
    with pytest.raises(ShapeError, match=r"Layer: d_h must have the shape of the output, \(2,\), got \(3,\)"):
        require_upstream(Layer(), torch.zeros(3), (2,), "d_h")


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (torch.zeros(2, 3), "a Tensor"),  # two rows, which would be unpacked as output and saved
        ([1, 2], "a list"),
        ((1,), "a tuple of 1"),
        ((1, 2, 3), "a tuple of 3"),
        (None, "None"),
    ],
    ids=str,
)
def test_a_forward_returns_a_pair(result: Any, got: str) -> None:
    with pytest.raises(
        ContractError, match=rf"^Layer: forward must return a pair \(output, saved\), got {got}; write"
    ):
        require_pair(Layer(), result)


def test_a_named_pair_is_a_pair_and_the_error_a_type_error() -> None:
    require_pair(Layer(), (None, None))
    require_pair(Layer(), namedtuple("Result", "output saved")(1, 2))
    assert issubclass(ContractError, TypeError)


def test_an_upstream_gradient_that_is_not_floating_point() -> None:
    with pytest.raises(DtypeError, match=r"Layer: d_y must be floating point, as the output is, got torch\.int64"):
        require_upstream(Layer(), torch.ones(2, dtype=torch.int64), (2,))


def test_what_meets_a_tensor_has_its_dtype_and_its_device() -> None:
    like = torch.ones(2)
    require_like(Layer(), torch.ones(3), like)
    with pytest.raises(DtypeError, match=r"Layer: x must have the dtype of the parameters, torch\.float32"):
        require_like(Layer(), torch.ones(3).double(), like)
    text = r"Layer: mask must be on the device of the input, cpu, got meta; move it with \.to\('cpu'\), or the model"
    with pytest.raises(ArgumentError, match=text):
        require_like(Layer(), torch.ones(3, device="meta"), like, "mask", "input")


@pytest.mark.parametrize("value", ["false", 1, 0, None])
def test_a_flag_is_true_or_false(value: object) -> None:
    with pytest.raises(ArgumentError, match="Layer: bias must be True or False, got "):
        require_flag(Layer(), "bias", value)


def test_a_number_is_no_tensor_of_several() -> None:
    with pytest.raises(ArgumentError, match=r"Layer: eps must be a number, got tensor\(\[1\., 1\.\]\)"):
        require_range(Layer(), "eps", torch.ones(2))


def test_tensors_that_kernels_do_not_know_raise_with_the_way_out() -> None:
    dense = torch.ones(2, 3)
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8)
    for x, got in (
        (dense.to_sparse(), r"torch\.sparse_coo; convert with x\.to_dense\(\)"),
        (quantized, r"torch\.qint8; convert with x\.dequantize\(\)"),
        (nested, r"a nested one; pad it with torch\.nested\.to_padded_tensor"),
    ):
        with pytest.raises(DtypeError, match=f"Layer: x must be a dense tensor of plain numbers, got {got}$"):
            require_input(Layer(), x)
    with pytest.raises(DtypeError, match=r"Layer: d_y must be a dense tensor of plain numbers, got torch\.sparse_coo"):
        require_upstream(Layer(), dense.to_sparse(), (2, 3))
    for pair in ((dense.to_sparse(), dense), (dense, dense.to_sparse())):
        with pytest.raises(DtypeError, match=r"must be a dense tensor of plain numbers, got torch\.sparse_coo"):
            require_same_shape(Layer(), *pair)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64, torch.float8_e4m3fn], ids=str)
def test_what_is_no_number_to_compute_with(dtype: torch.dtype) -> None:
    x = torch.ones(2).to(dtype)
    with pytest.raises(DtypeError, match=rf"Layer: x must hold real numbers, got {dtype}; convert with \.float\(\)"):
        require_real(Layer(), x)
    with pytest.raises(DtypeError, match=rf"Layer: x must be floating point.*, got {dtype}; convert with \.float\(\)"):
        require_floating(Layer(), x)
    for taken in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        require_real(Layer(), torch.ones(2, dtype=taken))
        require_floating(Layer(), torch.ones(2, dtype=taken))
    require_real(Layer(), torch.ones(2, dtype=torch.int64))


@pytest.mark.parametrize("path", [None, 3, [], b"run"], ids=repr)
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(ArgumentError, match=r"load_model: folder must be a path, got .*; pass a str or a "):
        require_path("load_model", "folder", path)
    assert require_path("load_model", "folder", "run") == require_path("load_model", "folder", Path("run"))
