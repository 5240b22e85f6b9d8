"""LinearCrossEntropyLoss agrees with PyTorch's Linear and cross entropy, whole and a few rows at a time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import LinearCrossEntropyLoss
from mytorch.testing import declare_loss

ROWS, CLASSES = (5, 3), torch.tensor([0, 3, 1, 1, 2])
test_whole = declare_loss(lambda: LinearCrossEntropyLoss(3, 4, bias=True), ROWS, CLASSES)
test_of_probabilities = declare_loss(
    lambda: LinearCrossEntropyLoss(3, 4, label_smoothing=0.1, weight=torch.rand(4), batch_chunk_size=2),
    ROWS,
    torch.rand(5, 4).softmax(1),
)
test_of_several_outputs = declare_loss(
    lambda: LinearCrossEntropyLoss(3, 4, out_features=(2,), reduction="none", batch_chunk_size=2),
    ROWS,
    torch.randint(0, 4, (5, 2)),
)
test_ignoring = declare_loss(
    lambda: LinearCrossEntropyLoss(3, 4, ignore_index=1, batch_chunk_size=2), ROWS, torch.tensor([1, 1, 1, 0, 2])
)


def twin_of(ours):
    twin = torch.nn.LinearCrossEntropyLoss(
        ours.linear.in_features,
        ours.num_classes,
        out_features=ours.out_features,
        bias=ours.linear.bias is not None,
        reduction=ours.reduction,
        weight=None if ours.weight is None else ours.weight.value,
        label_smoothing=ours.label_smoothing,
    )
    assert list(twin.state_dict()) == list(ours.state_dict())
    twin.load_state_dict(ours.state_dict())
    return twin.to(ours.linear.weight.value.dtype)


@given(
    st.data(),
    st.sampled_from(["mean", "sum", "none"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(), (2,), (3, 2)]),
    st.sampled_from([None, 1, 2, 3, 9]),
    st.sampled_from([torch.float64, torch.float32]),
)
def test_as_torch(data, reduction, bias, weighted, out_features, batch_chunk_size, dtype):
    ours = LinearCrossEntropyLoss(
        3,
        4,
        out_features=out_features,
        bias=bias,
        reduction=reduction,
        weight=torch.rand(4) if weighted else None,
        label_smoothing=data.draw(st.sampled_from([0.0, 0.1])),
        batch_chunk_size=batch_chunk_size,
    ).to(dtype)
    twin = twin_of(ours)
    batched = bool(out_features) or data.draw(st.booleans())
    rows = data.draw(st.sampled_from([1, 5, 0])) if batched else None
    leading = (rows,) if batched else ()
    x = torch.randn(*leading, 3, dtype=dtype)
    target = torch.randint(0, 4, (*leading, *out_features))
    if data.draw(st.booleans()):
        target = torch.rand(*leading, 4, *out_features, dtype=dtype)
    compare(ours, twin, x, target)


def compare(ours, twin, x, target, expect=None):
    theirs = x.clone().requires_grad_()
    expected = (expect or twin)(theirs, target)
    value, saved = ours.forward(x, target)
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if x.dtype is torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(value, expected.detach(), equal_nan=True, **tolerance)
    d_value = torch.randn_like(value)
    expected.backward(d_value)
    torch.testing.assert_close(ours.backward(d_value, saved), theirs.grad, equal_nan=True, **tolerance)
    if not x.numel():
        return
    for (name, parameter), (_, its) in zip(ours.named_param(), twin.named_parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, its.grad, msg=name, **tolerance)


@pytest.mark.parametrize("batch_chunk_size", [None, 2])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_targets(batch_chunk_size, reduction):
    """Torch's class ignores ignore_index unless it works in chunks, so that its functions are compared."""
    ours = LinearCrossEntropyLoss(
        3, 4, ignore_index=1, weight=torch.rand(4), reduction=reduction, batch_chunk_size=batch_chunk_size
    ).double()
    twin = twin_of(ours)

    def expect(x, target):
        scores = torch.nn.functional.linear(x, twin.linear.weight)
        return torch.nn.functional.cross_entropy(scores, target, twin.weight, ignore_index=1, reduction=reduction)

    compare(ours, twin, torch.randn(5, 3).double(), torch.tensor([0, 1, 1, 3, 1]), expect)


def test_chunks_hold_no_scores_of_all_rows():
    ours = LinearCrossEntropyLoss(3, 1000, batch_chunk_size=2)
    _, saved = ours.forward(torch.randn(8, 3), torch.randint(0, 1000, (8,)))
    assert [tuple(value.shape) for value in saved[:2]] == [(8, 3), (8,)]
    assert saved[2] == []


def test_a_saved_value_may_be_used_again_since_the_scores_are_computed_anew():
    ours = LinearCrossEntropyLoss(3, 4)
    _, saved = ours.forward(torch.randn(8, 3), torch.randint(0, 4, (8,)))
    first = ours.backward(1.0, saved)
    assert saved[2] == []
    torch.testing.assert_close(ours.backward(1.0, saved), first)


def test_a_mean_over_many_rows_in_bfloat16():
    ours = LinearCrossEntropyLoss(3, 4, batch_chunk_size=300)
    x, target = torch.randn(1001, 3), torch.randint(0, 4, (1001,))
    exact, kept = ours.forward(x, target)
    d_exact = ours.backward(1.0, kept)
    value, saved = ours.bfloat16().forward(x.bfloat16(), target)
    torch.testing.assert_close(value.float(), exact, rtol=0.02, atol=0.01)
    torch.testing.assert_close(ours.backward(1.0, saved).float(), d_exact, rtol=0.1, atol=1e-4)


X = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("options", "x", "target", "error", "text"),
    [
        ({}, X[:, :2], [0, 1], ShapeError, "last axis of input must be 3, got 2 in a tensor of (2, 2)"),
        ({}, X[None], [0, 1], ShapeError, "input must have 1 or 2 axes, got 3 in (1, 2, 3)"),
        ({}, X.double(), [0, 1], DtypeError, "input must have the dtype of the parameters, torch.float32"),
        ({}, X, [0], ShapeError, "target must have the shape (2,), a class index for each prediction of (2, 4)"),
        ({}, X, [0.0, 1.0], DtypeError, "target must be int64 where it holds class indices, got torch.float32"),
        ({}, X, [0, 4], ArgumentError, "target must be a class between 0 and 3, as the prediction of (2, 4) has"),
        ({"batch_chunk_size": 1}, X, [0, 4], ArgumentError, "target must be a class between 0 and 3, as the predicti"),
        ({"out_features": (2,)}, X[0], [0, 1], ShapeError, "input must have a batch with out_features, got (3,)"),
        ({"weight": torch.ones(3)}, X, [0, 1], ShapeError, "weight must have one number for each of 4 classes, got"),
        (
            {"ignore_index": 1},
            X,
            [[0.25] * 4] * 2,
            ArgumentError,
            "ignore_index must be left out where the target holds probabilities, got 1",
        ),
    ],
)
def test_what_does_not_fit(options, x, target, error, text):
    with pytest.raises(error) as caught:
        LinearCrossEntropyLoss(3, 4, **options).forward(x, torch.tensor(target))
    assert str(caught.value).startswith(f"LinearCrossEntropyLoss: {text}")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_classes": 0}, "num_classes and each of out_features must be a whole number of at least 1, got 0"),
        ({"out_features": (0,)}, "num_classes and each of out_features must be a whole number of at least 1, got 0"),
        ({"batch_chunk_size": 0}, "batch_chunk_size must be a whole number of at least 1, got 0"),
        ({"label_smoothing": 1.5}, "label_smoothing must be between 0 and 1, got 1.5"),
        ({"ignore_index": "1"}, "ignore_index must be a whole number, got '1'"),
        ({"reduction": "max"}, "reduction must be one of mean, sum, none, got 'max'"),
    ],
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError) as caught:
        LinearCrossEntropyLoss(**{"in_features": 3, "num_classes": 4} | options)
    assert str(caught.value) == f"LinearCrossEntropyLoss: {text}"


def test_the_saved_value_of_a_loss_of_other_features():
    for options in ({}, {"batch_chunk_size": 1}):
        _, saved = LinearCrossEntropyLoss(5, 4, **options).forward(torch.zeros(2, 5), torch.tensor([0, 1]))
        with pytest.raises(ArgumentError, match="saved must be that of a loss of 3 in_features"):
            LinearCrossEntropyLoss(3, 4, **options).backward(1.0, saved)
