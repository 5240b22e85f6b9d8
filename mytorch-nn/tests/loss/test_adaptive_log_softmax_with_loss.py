"""AdaptiveLogSoftmaxWithLoss agrees with PyTorch's, and its log-probabilities are those of a distribution."""

import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import AdaptiveLogSoftmaxWithLoss


def test_log_probabilities_and_predictions_are_those_of_torch():
    sizes = (6, 12, [3, 7])
    ours, twin = (home.AdaptiveLogSoftmaxWithLoss(*sizes, 2.0, head_bias=True) for home in (nn, torch.nn))
    twin.load_state_dict(ours.state_dict())
    x = 3 * torch.randn(50, 6)
    expected = twin.log_prob(x).detach()
    torch.testing.assert_close(ours.log_prob(x), expected)
    torch.testing.assert_close(ours.log_prob(x).exp().sum(1), torch.ones(50))
    torch.testing.assert_close(ours.log_prob(x[0]), expected[0])
    assert torch.equal(ours.predict(x), expected.argmax(1))
    assert ours.predict(x).unique().numel() > 3
    assert ours.predict(x[0]) == expected[0].argmax()
    assert ours.predict(x[:0]).shape == (0,)
    target = torch.randint(0, 12, (50,))
    torch.testing.assert_close(ours(x, target)[0], expected.gather(1, target[:, None])[:, 0])


def test_a_gradient_of_one_output_alone():
    layer, x, target = (
        AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7]).double(),
        torch.randn(4, 6).double(),
        torch.arange(4) * 3,
    )
    d_output, d_loss = torch.randn(4).double(), torch.randn(()).double()
    each = [layer.backward(given, layer.forward(x, target)[1])[0] for given in ((d_output, None), (None, d_loss))]
    whole, d_target = layer.backward((d_output, d_loss), layer.forward(x, target)[1])
    torch.testing.assert_close(sum(each), whole)
    assert d_target is None
    assert not layer.backward((None, None), layer.forward(x, target)[1])[0].any()


@pytest.mark.parametrize("cutoffs", [[], [3, 3], [7, 3], [3, 12]])
def test_cutoffs_that_do_not_grow(cutoffs):
    with pytest.raises(
        ArgumentError, match=r"AdaptiveLogSoftmaxWithLoss: cutoffs must be one or more increasing whole numbers below"
    ):
        AdaptiveLogSoftmaxWithLoss(6, 12, cutoffs)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cutoffs": [0, 3]}, "each of cutoffs must be a whole number of at least 1, got 0"),
        ({"cutoffs": [2.5]}, "each of cutoffs must be a whole number of at least 1, got 2.5"),
        ({"div_value": 0}, "div_value must be above 0, got 0"),
        ({"in_features": 0}, "in_features must be a whole number of at least 1, got 0"),
    ],
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError) as caught:
        AdaptiveLogSoftmaxWithLoss(**{"in_features": 6, "n_classes": 12, "cutoffs": [3]} | options)
    assert str(caught.value) == f"AdaptiveLogSoftmaxWithLoss: {text}"


X, T = torch.zeros(4, 6), torch.tensor([0, 3, 7, 11])


@pytest.mark.parametrize(
    ("x", "target", "error", "text"),
    [
        (X[:, :5], T, ShapeError, "last axis of input_ must be 6, got 5 in a tensor of (4, 5)"),
        (X.double(), T, DtypeError, "input_ must have the dtype of the parameters, torch.float32"),
        (
            X,
            T[:3],
            ShapeError,
            "input_ and target_ must be (batch, in_features) and (batch,), or (",
        ),
        (
            X[None],
            T[None],
            ShapeError,
            "input_ and target_ must be (batch, in_features) and (batch,), or (",
        ),
        (X, T.int(), DtypeError, "target_ must be int64 classes, got torch.int32; convert with .long()"),
        (X, T + 1, ArgumentError, "target_ must be classes between 0 and 11, got 12"),
        (X, T - 1, ArgumentError, "target_ must be classes between 0 and 11, got -1"),
    ],
)
def test_what_does_not_fit(x, target, error, text):
    with pytest.raises(error) as caught:
        AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7]).forward(x, target)
    assert str(caught.value).startswith(f"AdaptiveLogSoftmaxWithLoss: {text}")


def test_upstream_gradients_that_do_not_fit():
    layer = AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7])
    for wrong in ((torch.zeros(3), None), (None, torch.zeros(4)), torch.zeros(4)):
        with pytest.raises(ShapeError, match=r"^AdaptiveLogSoftmaxWithLoss: d_(output|loss) must"):
            layer.backward(wrong, layer.forward(X, T)[1])
