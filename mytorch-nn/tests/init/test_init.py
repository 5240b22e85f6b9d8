"""torch.nn.init by its own names: the same numbers from the same seed."""

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch.core import ArgumentError, DtypeError, Parameter, ShapeError
from mytorch.nn import init

TORCH = torch.nn.init
NONLINEARITIES = st.sampled_from([*("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu")])
NUMBER = st.floats(-2, 2)
SIZES = st.integers(1, 6)
MATRIX = st.tuples(SIZES, SIZES)
WEIGHT = st.lists(SIZES, min_size=2, max_size=5).map(tuple)
ANY = st.lists(st.integers(0, 6), max_size=4).map(tuple)
KAIMING = {"a": NUMBER, "mode": st.sampled_from(["fan_in", "fan_out"]), "nonlinearity": NONLINEARITIES}
CASES = {
    "uniform_": (ANY, {"a": st.floats(-2, 0), "b": st.floats(0, 2)}),
    "normal_": (ANY, {"mean": NUMBER, "std": st.floats(0, 2)}),
    "trunc_normal_": (
        ANY,
        {"mean": st.floats(-1, 1), "std": st.floats(0.1, 2), "a": st.floats(-2, -0.5), "b": st.floats(0.5, 3)},
    ),
    "constant_": (ANY, {"val": NUMBER}),
    "ones_": (ANY, {}),
    "zeros_": (ANY, {}),
    "eye_": (MATRIX, {}),
    "dirac_": (st.tuples(SIZES.map(lambda n: 2 * n), SIZES, SIZES, SIZES), {"groups": st.sampled_from([1, 2])}),
    "xavier_uniform_": (WEIGHT, {"gain": st.floats(0, 2)}),
    "xavier_normal_": (WEIGHT, {"gain": st.floats(0, 2)}),
    "kaiming_uniform_": (WEIGHT, KAIMING),
    "kaiming_normal_": (WEIGHT, KAIMING),
    "orthogonal_": (WEIGHT, {"gain": NUMBER}),
    "sparse_": (MATRIX, {"sparsity": st.floats(0, 1), "std": st.floats(0, 2)}),
}
each = pytest.mark.parametrize("name", CASES)


def test_every_name_of_torch_is_there_with_its_arguments():
    ours = {name for name in init.__all__ if not name.startswith("initialize")}
    assert ours == {name for name in TORCH.__all__ if name.endswith("_")} | {"calculate_gain"}
    for name in ours:
        expected, found = (inspect.signature(getattr(where, name)).parameters for where in (TORCH, init))
        assert list(found) == list(expected), name
        assert [p.default for p in found.values()] == [p.default for p in expected.values()], name


@each
@given(data=st.data(), seed=st.integers(0, 2**32), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_as_torch(name, data, seed, dtype):
    shape, options = CASES[name]
    shape = data.draw(shape)
    options = {option: data.draw(values) for option, values in options.items()}
    torch.manual_seed(seed)
    expected = getattr(TORCH, name)(torch.empty(shape, dtype=dtype), **options)
    torch.manual_seed(seed)
    parameter = Parameter(torch.empty(shape, dtype=dtype))
    before = parameter.value
    assert getattr(init, name)(parameter, **options) is parameter
    assert parameter.value is before
    torch.testing.assert_close(parameter.value, expected, rtol=0, atol=0)


@given(nonlinearity=NONLINEARITIES, param=st.none() | NUMBER)
def test_gains_as_torch(nonlinearity, param):
    assert init.calculate_gain(nonlinearity, param) == TORCH.calculate_gain(nonlinearity, param)


RANDOM = [name for name in CASES if "generator" in inspect.signature(getattr(init, name)).parameters]
REQUIRED = {"sparse_": (0.5,), "constant_": (1.0,)}


@pytest.mark.parametrize("name", RANDOM)
def test_a_generator_decides_alone(name):
    found = []
    for _ in range(2):
        torch.rand(3)
        generator = torch.Generator().manual_seed(7)
        found.append(getattr(init, name)(torch.empty(6, 5), *REQUIRED.get(name, ()), generator=generator))
    assert torch.equal(*found)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_and_inference_mode(name, dtype):
    shape = (4, 3, 3) if name == "dirac_" else (5, 3)
    with torch.inference_mode():
        value = Parameter(torch.full(shape, 7.0, dtype=dtype))
        getattr(init, name)(value, *REQUIRED.get(name, ()))
    assert value.value.dtype is dtype
    assert value.value.isfinite().all()
    assert not (value.value == 7).any()


@each
def test_nothing_to_fill(name):
    shape = (2, 0, 3) if name == "dirac_" else (0, 3)
    getattr(init, name)(torch.empty(shape), *REQUIRED.get(name, ()))
    getattr(init, name)(torch.empty(shape, device="meta"), *REQUIRED.get(name, ()))
    getattr(init, name)(torch.empty((4, 3, 3) if name == "dirac_" else (4, 3), device="meta"), *REQUIRED.get(name, ()))


def test_rows_are_orthogonal_in_half_precision_too():
    value = init.orthogonal_(torch.empty(3, 2, 4, dtype=torch.bfloat16), gain=2.0).float().reshape(3, 8)
    torch.testing.assert_close(value @ value.T, 4 * torch.eye(3), rtol=0, atol=0.05)


W = torch.empty(4, 3)
BAD = [
    (lambda: init.normal_([1.0]), ArgumentError, "normal_: tensor must be a tensor, got a list"),
    (lambda: init.normal_(W, std=-1), ArgumentError, "normal_: std must be at least 0, got -1"),
    (lambda: init.uniform_(W, 2.0, 1.0), ArgumentError, "uniform_: b must be at least 2, got 1.0"),
    (lambda: init.uniform_(W, "0"), ArgumentError, "uniform_: a must be a number, got '0'"),
    (lambda: init.trunc_normal_(W, std=0.0), ArgumentError, "trunc_normal_: std must be above 0 and a below b, got"),
    (lambda: init.trunc_normal_(W, 9.0), ArgumentError, "trunc_normal_: mean must be between -4 and 4, got 9.0"),
    (lambda: init.constant_(W, None), ArgumentError, "constant_: val must be a number, got None"),
    (lambda: init.eye_(torch.empty(3)), ShapeError, "eye_: tensor must have 2 axes, got 1 in (3,)"),
    (lambda: init.dirac_(W), ShapeError, "dirac_: tensor must have 3 or 4 or 5 axes, got 2 in (4, 3)"),
    (
        lambda: init.dirac_(torch.empty(4, 3, 3), 3),
        ShapeError,
        "dirac_: first axis of tensor must be a multiple of groups, 3, got 4 in (4, 3, 3)",
    ),
    (lambda: init.dirac_(W, 0), ArgumentError, "dirac_: groups must be a whole number of at least 1, got 0"),
    (lambda: init.xavier_normal_(torch.empty(3)), ShapeError, "xavier_normal_: tensor must have at least 2 axes"),
    (lambda: init.xavier_normal_(W, -1.0), ArgumentError, "xavier_normal_: gain must be at least 0, got -1.0"),
    (lambda: init.xavier_uniform_(torch.empty(())), ShapeError, "xavier_uniform_: tensor must have at least 2 axes"),
    (
        lambda: init.kaiming_normal_(W, mode="fan"),
        ArgumentError,
        "kaiming_normal_: mode must be one of fan_in, fan_out",
    ),
    (lambda: init.kaiming_normal_(W, nonlinearity="gelu"), ArgumentError, "kaiming_normal_: nonlinearity must be one"),
    (lambda: init.kaiming_uniform_(W, a="1"), ArgumentError, "kaiming_uniform_: a must be a number, got '1'"),
    (lambda: init.orthogonal_(torch.empty(3)), ShapeError, "orthogonal_: tensor must have at least 2 axes, got 1 in"),
    (lambda: init.orthogonal_(W.int()), DtypeError, "orthogonal_: tensor must be floating point, got torch.int32"),
    (lambda: init.sparse_(W, 1.5), ArgumentError, "sparse_: sparsity must be between 0 and 1, got 1.5"),
    (lambda: init.sparse_(torch.empty(3), 0.5), ShapeError, "sparse_: tensor must have 2 axes, got 1 in (3,)"),
    (lambda: init.calculate_gain("gelu"), ArgumentError, "calculate_gain: nonlinearity must be one of linear"),
    (
        lambda: init.calculate_gain("leaky_relu", True),
        ArgumentError,
        "calculate_gain: param must be a number, got True",
    ),
]


@pytest.mark.parametrize(("use", "error", "text"), BAD, ids=[text for _, _, text in BAD])
def test_what_does_not_fit(use, error, text):
    with pytest.raises(error) as caught:
        use()
    assert str(caught.value).startswith(text)
