"""Encodings of positions: their formulas, what makes them useful, and what they refuse."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import RotaryPositionalEncoding, SinusoidalPositionalEncoding
from mytorch.testing import check_layer

LAYERS = {
    "SinusoidalPositionalEncoding": SinusoidalPositionalEncoding,
    "RotaryPositionalEncoding": RotaryPositionalEncoding,
}
each = pytest.mark.parametrize("name", LAYERS)


def same(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@given(
    length=st.integers(0, 9), d_model=st.integers(1, 8), batch_first=st.booleans(), batch=st.sampled_from([None, 0, 3])
)
def test_the_sinusoidal_formula(length, d_model, batch_first, batch):
    leading = (length,) if batch is None else (batch, length) if batch_first else (length, batch)
    x = torch.randn(*leading, d_model, dtype=torch.float64)
    layer = SinusoidalPositionalEncoding(d_model, batch_first)
    y, saved = layer.forward(x)
    added = y - x
    for position in range(length):
        for number in range(d_model):
            angle = position / 10000 ** ((number - number % 2) / d_model)
            expected = math.cos(angle) if number % 2 else math.sin(angle)
            at = added[..., position, :] if batch is None or batch_first else added[position]
            same(at[..., number], torch.full_like(at[..., number], expected))
    d_y = torch.randn_like(y)
    same(layer.backward(d_y, saved), d_y)


@given(
    leading=st.lists(st.integers(0, 3), max_size=2),
    length=st.integers(0, 5),
    pairs=st.integers(1, 3),
    base=st.sampled_from([10000.0, 500000.0, 1]),
)
def test_the_rotary_formula(leading, length, pairs, base):
    """As a product of complex numbers, whose derivative is that by the conjugate."""
    x = torch.randn(*leading, length, 2 * pairs, dtype=torch.float64)
    layer = RotaryPositionalEncoding(2 * pairs, base)
    y, saved = layer.forward(x)
    rates = torch.tensor([float(base) ** (-i / pairs) for i in range(pairs)], dtype=torch.float64)
    turns = torch.polar(torch.ones(length, pairs).double(), torch.outer(torch.arange(length).double(), rates))

    def times(value, factor):
        return torch.view_as_real(torch.view_as_complex(value.unflatten(-1, (-1, 2))) * factor).flatten(-2)

    same(y, times(x, turns))
    d_y = torch.randn_like(y)
    same(layer.backward(d_y, saved), times(d_y, turns.conj()))


def test_products_of_turned_vectors_depend_on_the_distance_alone():
    layer = RotaryPositionalEncoding(6)
    query, key = (torch.randn(6, dtype=torch.float64).expand(7, 6) for _ in range(2))
    products = layer(query) @ layer(key).T
    for distance in range(-3, 4):
        diagonal = products.diagonal(distance)
        same(diagonal, diagonal[:1].expand_as(diagonal))
    assert products[0].std() > 0.01


@each
def test_half_precision(name):
    """Positions are counted in float32: bfloat16 does not know 257."""
    layer, x = LAYERS[name](4), torch.randn(300, 4).bfloat16()
    y, saved = layer.forward(x)
    full = layer(x.float())
    assert y.dtype is layer.backward(y, saved).dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), full, rtol=0.02, atol=0.03)


@each
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_the_contract(name, shape):
    tags = {"fixed_dimensions"} if name.startswith("Sinusoidal") else set()
    if shape == (3, 4):
        tags |= {"mixes_batch", "fixed_dimensions"}  # its rows are positions
    options = {"batch_first": True} if name.startswith("Sinusoidal") else {}
    check_layer(lambda: LAYERS[name](4, **options), shape, tags=tags)


@each
def test_shapes_and_dtypes_that_do_not_fit(name):
    layer = LAYERS[name](4)
    with pytest.raises(ShapeError, match=f"{name}: last axis of x must be 4, got 3 in a tensor of"):
        layer(torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=f"{name}: x must "):
        layer(torch.zeros(4))
    with pytest.raises(DtypeError, match=f"{name}: x must be floating point, got torch.int64"):
        layer(torch.zeros(2, 4).long())
    with pytest.raises(ArgumentError, match=f"{name}: x must be a tensor, got a list"):
        layer([[0.0]])
    y, saved = layer.forward(torch.zeros(2, 4))
    with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
        layer.backward(y[:1], saved)
    with pytest.raises(ArgumentError, match=f"{name}: saved must be a Size"):
        layer.backward(y, y)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SinusoidalPositionalEncoding(0), "d_model must be a whole number of at least 1, got 0"),
        (lambda: RotaryPositionalEncoding(3), "dim must be even, since pairs of numbers are rotated, got 3"),
        (lambda: RotaryPositionalEncoding(0), "dim must be a whole number of at least 2, got 0"),
        (lambda: RotaryPositionalEncoding(4, base=-1.0), "base must be at least 0, got -1.0"),
        (lambda: RotaryPositionalEncoding(4, base=0), "base must be above 0, got 0"),
    ],
)
def test_arguments_that_do_not_fit(make, text):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert text in str(caught.value)
