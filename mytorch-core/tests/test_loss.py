"""The contract of losses."""

import doctest
import importlib

import pytest
import torch

from mytorch.core import OUTPUTS, ArgumentError, Loss, ShapeError, require_d_value


class Hinge(Loss):
    """Says nothing of itself."""


def test_what_a_loss_is_that_says_nothing() -> None:
    assert (Hinge.outputs, Hinge.reduction) == ("scores", "mean")
    with pytest.raises(NotImplementedError, match="Hinge: forward must be defined"):
        Hinge().forward(torch.zeros(2), torch.zeros(2))


def test_outputs_are_inherited() -> None:
    base = type("Base", (Loss,), {"outputs": "log-softmax"})
    assert type("Derived", (base,), {}).outputs == "log-softmax"


@pytest.mark.parametrize("word", OUTPUTS)
def test_each_word_for_outputs(word) -> None:
    assert type("Some", (Loss,), {"outputs": word}).outputs == word


@pytest.mark.parametrize("word", ["logits", "Softmax", None, 3])
def test_another_word_is_refused_when_the_class_is_made(word) -> None:
    with pytest.raises(ArgumentError, match="Some: outputs must be one of softmax, log-softmax, sigmoid, numbers, sc"):
        type("Some", (Loss,), {"outputs": word})


@pytest.mark.parametrize(
    ("prediction", "rows"),
    [
        (torch.zeros(5, 3), 5),
        (torch.zeros(0, 3), 0),
        (torch.zeros(()), 1),
        ((torch.zeros(4, 2), torch.zeros(7)), 4),
        ({"mean": torch.zeros(6), "variance": torch.zeros(6)}, 6),
        ([(torch.zeros(2),)], 2),
    ],
)
def test_a_batch_counts_for_its_rows(prediction, rows) -> None:
    assert Hinge().weight_of(prediction, None) == rows


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_upstream_gradients_that_fit(shape) -> None:
    for d_value in (1, 0.5, torch.tensor(2.0), torch.randn(shape)):
        require_d_value(Hinge(), d_value, shape)


@pytest.mark.parametrize(
    ("d_value", "shape", "got"),
    [
        (torch.ones(1), (), r"\(\), got \(1,\)"),
        (torch.ones(1), (5,), r"\(5,\), got \(1,\)"),
        (torch.ones(5, 1), (5,), r"\(5,\), got \(5, 1\)"),
        (None, (5,), r"\(5,\), got a NoneType"),
        ([1.0], (1,), r"\(1,\), got a list"),
        ("1", (), r"\(\), got a str"),
    ],
)
def test_upstream_gradients_that_do_not(d_value, shape, got) -> None:
    with pytest.raises(ShapeError, match=f"Hinge: d_value must be a number, or a tensor .* of the value, {got}$"):
        require_d_value(Hinge(), d_value, shape)


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(importlib.import_module("mytorch.core.loss")).failed == 0


@pytest.mark.parametrize("shape", [(), (3,)])
def test_an_upstream_gradient_on_another_device(shape) -> None:
    text = r"^Hinge: d_value must be on the device of the prediction, cpu, got meta; move it with \.to\('cpu'\)"
    with pytest.raises(ArgumentError, match=text):
        require_d_value(Hinge(), torch.randn(shape).to("meta"), shape, torch.randn(3))
    require_d_value(Hinge(), torch.randn(shape), shape, torch.randn(3))
    require_d_value(Hinge(), torch.tensor(2.0), shape, torch.randn(3).to("meta"))  # torch takes it for a number
