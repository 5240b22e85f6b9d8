import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import CrossMapLRN2d, LocalResponseNorm
from mytorch.testing import check_layer

ARGUMENTS = {"alpha": 0.5, "beta": 0.6, "k": 1.5}


def formula(size, beta):
    """Written out channel by channel."""

    def reference(parameters, x):
        channels, half = x.shape[1], (size - 1) // 2
        sums = [(x[:, max(0, c - half) : c + half + 1] ** 2).sum(1) for c in range(channels)]
        return x / (ARGUMENTS["k"] + ARGUMENTS["alpha"] / size * torch.stack(sums, 1)) ** beta

    return reference


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("beta", [0.6, 0.75])
def test_the_contract(size, beta):
    arguments = ARGUMENTS | {"beta": beta}
    check_layer(
        lambda: CrossMapLRN2d(size, **arguments),
        (2, 4, 1, 2),
        tags=("fixed_dimensions",),
        reference=formula(size, beta),
    )


@pytest.mark.parametrize("k", [-1.0, 0.0, 1e-300, 1e-30, 0.1, 2.0, 1e30, 1e300])
def test_the_usual_power_of_every_base(k):
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    y = LocalResponseNorm(1, alpha=0.0, beta=0.75, k=k)(x)
    torch.testing.assert_close(
        y, x * torch.tensor(k, dtype=torch.float64) ** -0.75, rtol=1e-15, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("size", [1, 3, 5])
def test_an_odd_size_is_local_response_norm(size):
    ours, other, x = CrossMapLRN2d(size, **ARGUMENTS), LocalResponseNorm(size, **ARGUMENTS), torch.randn(2, 6, 3, 4)
    (y, saved), (expected, kept) = ours.forward(x), other.forward(x)
    torch.testing.assert_close(y, expected)
    d_y = torch.randn(y.shape)
    torch.testing.assert_close(ours.backward(d_y, saved), other.backward(d_y, kept))


@pytest.mark.parametrize(("size", "channels"), [(3, 2), (4, 2), (5, 3), (7, 4)])
def test_as_torch_where_every_window_holds_all_channels(size, channels):
    x = torch.randn(2, channels, 3, 4)
    torch.testing.assert_close(CrossMapLRN2d(size, **ARGUMENTS)(x), torch.nn.CrossMapLRN2d(size, **ARGUMENTS)(x))


def test_torch_never_takes_the_first_channel_out():
    """Why the formula and not torch's numbers: far from the first channel, its value must not count."""
    x = torch.ones(1, 8, 1, 1)
    far = x.clone()
    far[0, 0] = 100.0
    ours, theirs = (layer(3, **ARGUMENTS) for layer in (CrossMapLRN2d, torch.nn.CrossMapLRN2d))
    assert torch.equal(ours(x)[:, 2:], ours(far)[:, 2:])
    assert not torch.allclose(theirs(x)[:, 2:], theirs(far)[:, 2:])


def test_what_does_not_fit():
    with pytest.raises(
        ShapeError, match=r"CrossMapLRN2d: x must be \(batch, channels, height, width\), got \(2, 3, 4\)"
    ):
        CrossMapLRN2d(3).forward(torch.randn(2, 3, 4))
    with pytest.raises(DtypeError, match="CrossMapLRN2d: x must be floating point"):
        CrossMapLRN2d(3).forward(torch.ones(1, 2, 3, 4, dtype=torch.int64))
    with pytest.raises(ArgumentError, match="CrossMapLRN2d: size must be a whole number of at least 1, got 0"):
        CrossMapLRN2d(0)
    y, saved = CrossMapLRN2d(3).forward(torch.randn(1, 2, 3, 4))
    with pytest.raises(ShapeError, match="CrossMapLRN2d: d_y must have the shape of the output"):
        CrossMapLRN2d(3).backward(y[0], saved)
