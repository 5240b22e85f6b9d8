import pytest
import torch
from drawn_cases.activation import ARGUMENTS

from mytorch import nn
from mytorch.core import ArgumentError, Directions, DtypeError, ShapeError, states_tangents
from mytorch.testing import check_layer

EXAMPLES = {"Threshold": {"threshold": 0.1, "value": -1.0}}


each_function = pytest.mark.parametrize("name", ARGUMENTS)


@each_function
def test_the_borders(agree, name):
    """At the places where a function has a corner, the gradient is torch's."""
    x = torch.tensor([-6.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.1, 0.5, 1.0, 3.0, 6.0, 30.0, -1e4, 1e4])
    options = EXAMPLES.get(name, {})
    agree(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), x, modes=(False,))


@each_function
def test_the_contract(name):
    options = EXAMPLES.get(name, {})
    check_layer(lambda: getattr(nn, name)(**options), torch.randn(5, 3))


@pytest.mark.parametrize("name", sorted(ARGUMENTS.keys() - {"ReLU", "Sigmoid", "Tanh"}))  # which look at nothing
def test_integers(name):
    with pytest.raises(DtypeError, match=f"{name}: x must be floating point, got torch.int64"):
        getattr(nn, name)(**EXAMPLES.get(name, {}))(torch.tensor([1, 2]))


def test_prelu_in_the_kit():
    check_layer(lambda: nn.PReLU(3), torch.randn(5, 3), tags=("fixed_dimensions",))
    check_layer(lambda: nn.PReLU(3), torch.randn(2, 3, 4), tags=("fixed_dimensions",))


def test_prelu_of_other_channels():
    with pytest.raises(ShapeError, match=r"PReLU: x must have 3 channels along axis 1, got \(4, 2\)"):
        nn.PReLU(3)(torch.randn(4, 2))
    with pytest.raises(DtypeError, match="PReLU: x must have the dtype of the parameters"):
        nn.PReLU()(torch.randn(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("LeakyReLU", {"negative_slope": "steep"}, "negative_slope must be a number, got 'steep'"),
        ("RReLU", {"lower": 0.5, "upper": 0.1}, "upper must be finite and at least 0.5, got 0.1"),
        ("Hardtanh", {"min_val": 1.0, "max_val": 1.0}, "max_val must be above min_val, 1.0, got 1.0"),
        ("CELU", {"alpha": 0}, "alpha must not be 0, by which x is divided, got 0"),
        ("Softplus", {"beta": 0}, "beta must not be 0, by which it is divided, got 0"),
        ("GELU", {"approximate": "sigmoid"}, "approximate must be one of none, tanh, got 'sigmoid'"),
        ("Hardshrink", {"lambd": -1}, "lambd must be at least 0, got -1"),
        ("Softshrink", {"lambd": float("nan")}, "lambd must be finite and at least 0, got nan"),
        ("PReLU", {"num_parameters": 0}, "num_parameters must be a whole number of at least 1, got 0"),
        ("PReLU", {"num_parameters": True}, "num_parameters must be a whole number of at least 1, got True"),
    ],
)
def test_arguments_that_do_not_fit(name, options, text):
    with pytest.raises(ArgumentError) as error:
        getattr(nn, name)(**options)
    assert str(error.value) == f"{name}: {text}"


@pytest.mark.parametrize("name", [*ARGUMENTS, "PReLU"])
@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (4, 2), (3,), (), (3, 4)], ids=str)
def test_an_upstream_gradient_of_another_shape(name, shape):
    layer = getattr(nn, name)(**EXAMPLES.get(name, {}))
    _, saved = layer.forward(torch.randn(4, 3))
    with pytest.raises(ShapeError, match=rf"{name}: d_y must have the shape of the output, \(4, 3\), got"):
        layer.backward(torch.randn(shape), saved)


VARIANTS = [*((name, EXAMPLES.get(name, {})) for name in ARGUMENTS), ("GELU", {"approximate": "tanh"})]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_large_numbers_have_a_change_of_the_backward_where_they_have_a_backward(name, options, dtype):
    layer = getattr(nn, name)(**options)
    assert states_tangents(layer)
    large = torch.tensor([30.0, 60.0, 100.0, 300.0, 3e4, 1e10, 1e20]).to(dtype)
    x = torch.cat([large, -large])
    x = x[x.isfinite()]
    ones = torch.ones_like(x)
    _, saved = layer.forward(x)
    _, t_saved = layer.tangent(ones, saved, Directions({}))
    d_x, t_d_x = layer.backward_tangent(ones, ones, saved, t_saved, Directions({}))
    wrong = x[d_x.isfinite() & ~t_d_x.isfinite()]
    assert not wrong.numel(), f"not finite at {wrong.tolist()}"
    assert d_x[x.abs() <= 300].isfinite().all()
