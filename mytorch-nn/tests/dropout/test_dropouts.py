"""Dropout of channels, and dropout for SELU, compared with torch's by the same draws."""

import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

SHAPES = {
    "Dropout1d": (4, 3, 5),
    "Dropout2d": (4, 3, 2, 3),
    "Dropout3d": (4, 3, 2, 3, 2),
    "AlphaDropout": (4, 5),
    "FeatureAlphaDropout": (4, 3, 5),
}
each_layer = pytest.mark.parametrize("name", SHAPES)


@each_layer
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_torch_stands_where_its_twin_leaves_it(name, p):
    ends = []
    for home in (nn, torch.nn):
        torch.manual_seed(2)
        getattr(home, name)(p)(torch.randn(SHAPES[name]))
        ends.append(torch.get_rng_state())
    assert torch.equal(*ends)


@each_layer
def test_a_generator_gives_the_stream_of_its_seed_and_leaves_torchs_alone(name):
    x = torch.randn(SHAPES[name])
    before = torch.get_rng_state()
    drawn = [getattr(nn, name)(generator=torch.Generator().manual_seed(4))(x) for _ in range(2)]
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert torch.equal(drawn[0], getattr(nn, name)()(x))


@each_layer
def test_the_contract(name):
    tags = () if name == "AlphaDropout" else ("fixed_dimensions",)
    check_layer(lambda: getattr(nn, name)(0.4), torch.randn(SHAPES[name]), tags=tags)


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_mean_and_variance_stay(name):
    y = getattr(nn, name)(0.3)(torch.randn(40_000, 4, 1))
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03


@each_layer
def test_evaluation_changes_nothing(name):
    x = torch.randn(SHAPES[name])
    layer = getattr(nn, name)().eval()
    y, saved = layer.forward(x)
    assert y is x
    assert torch.equal(layer.train().backward(x, saved), x)


@each_layer
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(name, dtype):
    layer, x = getattr(nn, name)(), torch.randn(SHAPES[name]).to(dtype)
    y, saved = layer.forward(x)
    assert y.dtype is layer.backward(x, saved).dtype is dtype


@each_layer
def test_one_graph(name):
    """torch.compile needs no break in a step, and draws the same."""
    torch.compiler.reset()  # else it makes symbols of what differs between the layers
    layer, x = getattr(nn, name)(0.4), torch.randn(SHAPES[name])

    def step(x):
        y, saved = layer.forward(x)
        return y, layer.backward(x, saved)

    results = []
    for function in (step, torch.compile(step, fullgraph=True, backend="eager")):
        torch.manual_seed(3)
        results.append(function(x))
    torch.testing.assert_close(*results)


@each_layer
def test_the_meta_device(name):
    layer, x = getattr(nn, name)(), torch.empty(SHAPES[name], device="meta")
    y, saved = layer.forward(x)
    assert layer.backward(y, saved).shape == x.shape


@each_layer
def test_input_grad_false(name):
    layer, x = getattr(nn, name)(), torch.randn(SHAPES[name])
    layer.input_grad = False
    assert layer.backward(x, layer.forward(x)[1]) is None


@each_layer
def test_an_upstream_gradient_of_another_shape(name):
    layer, x = getattr(nn, name)(), torch.randn(SHAPES[name])
    for mode in (True, False):
        _, saved = layer.train(mode).forward(x)
        for d_y in (x[:1], torch.randn(1), x[None], None):
            with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
                layer.backward(d_y, saved)


@each_layer
def test_arguments_and_dtypes_that_do_not_fit(name):
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ArgumentError, match=f"{name}: p must be between 0 and 1, got {p}"):
            getattr(nn, name)(p)
    with pytest.raises(ArgumentError, match=rf"{name}: generator must be a torch.Generator or None, got 3"):
        getattr(nn, name)(generator=3)
    with pytest.raises(DtypeError, match=f"{name}: x must be floating point, got torch.int64"):
        getattr(nn, name)()(torch.zeros(SHAPES[name], dtype=torch.int64))


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("Dropout1d", (3,), "Dropout1d: x must have 2 or 3 axes, got 1 in (3,)"),
        ("Dropout2d", (2, 3, 4), "Dropout2d: x must have 4 axes, got 3 in (2, 3, 4); put a batch in front with"),
        ("Dropout3d", (2, 3, 4), "Dropout3d: x must have 4 or 5 axes, got 3 in (2, 3, 4)"),
        ("FeatureAlphaDropout", (3,), "FeatureAlphaDropout: x must be (batch, channels, ...), got (3,)"),
    ],
)
def test_shapes_that_do_not_fit(name, shape, text):
    for mode in (True, False):
        with pytest.raises(ShapeError) as caught:
            getattr(nn, name)().train(mode).forward(torch.zeros(shape))
        assert str(caught.value).startswith(text)
