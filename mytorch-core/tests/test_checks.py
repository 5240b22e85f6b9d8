"""The checks that layers call, and what their errors say."""

from typing import Any

import pytest
import torch

from mytorch.core import (
    ArgumentError,
    AutogradError,
    DtypeError,
    Module,
    ShapeError,
    allow_autograd,
    require_choice,
    require_dimensions,
    require_floating,
    require_last_axis,
    require_no_grad,
    require_range,
    require_same_shape,
)


class Layer(Module):
    pass


def test_an_input_that_requires_grad_raises_with_the_way_out() -> None:
    x = torch.randn(2, requires_grad=True)
    message = r"Layer: input must not require grad.* pass x\.detach\(\), or work under torch\.inference_mode\(\)"
    for check in (
        lambda: require_no_grad(Layer(), x),
        lambda: require_last_axis(Layer(), x, 2),
        lambda: require_dimensions(Layer(), x, 1),
        lambda: require_same_shape(Layer(), x, x.detach()),
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
    with pytest.raises(ShapeError, match=r"Layer: last axis of input must be 5, got 3 in a tensor of \(4, 3\)"):
        require_last_axis(Layer(), x, 5)
    with pytest.raises(ShapeError, match=r"last axis of query must be 5, got no axis in a tensor of \(\)"):
        require_last_axis(Layer(), torch.tensor(1.0), 5, "query")
    with pytest.raises(ShapeError, match=r"Layer: input must have 3 or 4 axes, got 2 in \(4, 3\)"):
        require_dimensions(Layer(), x, 3, 4)
    with pytest.raises(ShapeError, match=r"target must have the shape of the prediction, \(4, 3\), got \(3,\)$"):
        require_same_shape(Layer(), x, torch.zeros(3))
    with pytest.raises(ShapeError, match=r"got \(12,\); target\.reshape\(4, 3\) would fit"):
        require_same_shape(Layer(), x, torch.zeros(12))


def test_dtypes_choices_and_ranges() -> None:
    with pytest.raises(DtypeError, match=r"Layer: input must be floating point, got torch\.int64; convert with"):
        require_floating(Layer(), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="Layer: mode must be one of a, b, got 'c'"):
        require_choice(Layer(), "mode", "c", ("a", "b"))
    with pytest.raises(ArgumentError, match=r"p must be between 0 and 1, got 1\.5"):
        require_range("Drop", "p", 1.5, 0, 1)
    with pytest.raises(ArgumentError, match="Drop: p must be at least 0, got nan"):
        require_range("Drop", "p", float("nan"), 0)
    require_range("Drop", "p", torch.tensor(0.5), 0, 1)


@pytest.mark.parametrize("value", ["fast", None])
def test_a_range_is_for_numbers(value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"SGD: lr must be a number, got {value!r}"):
        require_range("SGD", "lr", value, 0.0)
