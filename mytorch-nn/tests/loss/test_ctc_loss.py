"""CTCLoss agrees with PyTorch's, with a sum over all alignments, and refuses lengths and targets that do not fit."""

from itertools import groupby, product

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, Loss, ShapeError
from mytorch.nn import CTCLoss, LogSoftmax
from mytorch.testing import declare_loss

STEPS, CLASSES = 7, 5


class OfScores(Loss):
    """LogSoftmax and CTCLoss as one, whose gradient is that of its forward."""

    outputs = "softmax"

    def __init__(self, reduction="mean"):
        self.first, self.second, self.reduction = LogSoftmax(-1), CTCLoss(reduction=reduction), reduction

    def forward(self, scores, targets, input_lengths, target_lengths):
        log_probs, saved = self.first.forward(scores)
        value, kept = self.second.forward(log_probs, targets, input_lengths, target_lengths)
        return value, (saved, kept)

    def backward(self, d_value, saved):
        return self.first.backward(self.second.backward(d_value, saved[1]), saved[0])


TARGETS = (torch.tensor([[1, 2, 2], [3, 1, 0], [2, 0, 0]]), torch.tensor([7, 6, 4]), torch.tensor([3, 2, 1]))
test_of_scores = declare_loss(OfScores, (7, 3, 4), *TARGETS, tags=("not_traceable",))
test_of_scores_without_reduction = declare_loss(lambda: OfScores("none"), (7, 3, 4), *TARGETS, tags=("not_traceable",))


def compare(options, log_probs, targets, *lengths):
    theirs = log_probs.detach().clone().requires_grad_()
    expected = torch.nn.CTCLoss(**options)(theirs, targets, *lengths)
    ours = CTCLoss(**options)
    value, saved = ours.forward(log_probs, targets, *lengths)
    torch.testing.assert_close(value, expected.detach(), equal_nan=True)
    d_value = torch.randn_like(value)
    expected.backward(d_value)
    torch.testing.assert_close(ours.backward(d_value, saved), theirs.grad, equal_nan=True)
    if not value.dim():
        _, saved = ours.forward(log_probs, targets, *lengths)
        torch.testing.assert_close(ours.backward(d_value.item(), saved), theirs.grad, equal_nan=True)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("as_tensors", [True, False])
def test_one_row_without_a_batch(reduction, as_tensors):
    lengths = (torch.tensor(6), torch.tensor(2)) if as_tensors else ((6,), (2,))
    log_probs = torch.randn(STEPS, CLASSES).double().log_softmax(-1)
    compare({"reduction": reduction}, log_probs, torch.tensor([1, 3]), *lengths)
    assert CTCLoss().weight_of(log_probs, None) == 1


def test_the_sum_over_all_alignments():
    log_probs, target = torch.randn(4, 1, 3).double().log_softmax(-1), (1, 1)
    total = 0.0
    for path in product(range(3), repeat=4):
        if tuple(kind for kind, _ in groupby(path) if kind) == target:
            total += float(sum(log_probs[step, 0, kind] for step, kind in enumerate(path)).exp())
    value = CTCLoss(reduction="sum")(log_probs, torch.tensor([target]), (4,), (2,))
    assert float((-value).exp()) == pytest.approx(total, rel=1e-12)


def test_means_count_rows():
    loss, log_probs = CTCLoss(), torch.randn(STEPS, 3, CLASSES).log_softmax(-1)
    targets, inputs, wanted = torch.tensor([[1, 2], [3, 1], [4, 1]]), torch.tensor([7, 6, 5]), torch.tensor([2, 1, 2])
    parts = [slice(0, 1), slice(1, 3)]
    values = [float(loss(log_probs[:, part], targets[part], inputs[part], wanted[part])) for part in parts]
    weights = [loss.weight_of(log_probs[:, part], targets[part]) for part in parts]
    assert weights == [1, 2]
    assert (values[0] + 2 * values[1]) / 3 == pytest.approx(float(loss(log_probs, targets, inputs, wanted)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    log_probs = torch.randn(STEPS, 2, CLASSES).log_softmax(-1).to(dtype)
    arguments = torch.tensor([[1, 2], [3, 1]]), (7, 7), (2, 2)
    value, saved = CTCLoss().forward(log_probs, *arguments)
    exact, kept = CTCLoss().forward(log_probs.float(), *arguments)
    assert value == exact.to(dtype)
    assert torch.equal(CTCLoss().backward(1.0, saved), CTCLoss().backward(1.0, kept).to(dtype))


X = torch.zeros(STEPS, 2, CLASSES)
T = torch.tensor([[1, 2], [3, 1]])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((X[0, 0], T, (7, 7), (2, 2)), ShapeError, "log_probs must have 2 or 3 axes, got 1 in (5,)"),
        ((X.long(), T, (7, 7), (2, 2)), DtypeError, "log_probs must be floating point, got torch.int64"),
        ((X[:0], T, (0, 0), (2, 2)), ShapeError, "log_probs must not be empty, got (0, 2, 5)"),
        (
            (X, T, (7, 8), (2, 2)),
            ArgumentError,
            "each of input_lengths must be at most the steps of log_probs, 7, got 8",
        ),
        ((X, T, (7, -1), (2, 2)), ArgumentError, "each of input_lengths must be a whole number of at least 0, got -1"),
        ((X, T, torch.tensor([7, -1]), (2, 2)), ArgumentError, "each of input_lengths must be a whole number of at"),
        (
            (X, T, (7, 7), (2, -2)),
            ArgumentError,
            "each of target_lengths must be a whole number of at least 0, got -2",
        ),
        (
            (X, T, (7, 7.0), (2, 2)),
            ArgumentError,
            "each of input_lengths must be a whole number of at least 0, got 7.0",
        ),
        ((X, T, (7, 7), (2, 3)), ShapeError, "targets must be (2, at least the longest of target_lengths, 3), got (2"),
        (
            (X, T[:1], (7, 7), (2, 2)),
            ShapeError,
            "targets must be (2, at least the longest of target_lengths, 2), got",
        ),
        (
            (X, T.view(-1), (7, 7), (2, 3)),
            ShapeError,
            "concatenated targets must be as many as the sum of targ",
        ),
        ((X, T[0, 0], (7, 7), (1, 0)), ShapeError, "targets must have 1 or 2 axes, got 0 in ()"),
        ((X, T.float(), (7, 7), (2, 2)), DtypeError, "targets must be whole numbers, got torch.float32; convert with"),
        ((X, T, (7,), (2, 2)), ShapeError, "input_lengths must have a number for each of 2 rows, got 1"),
        ((X, T, torch.tensor([[7, 7]]), (2, 2)), ShapeError, "input_lengths must have the shape (2,), got (1, 2)"),
        ((X, T, (7, 7), torch.tensor(2)), ShapeError, "target_lengths must have a number for each of 2 rows, got 1"),
        ((X, T, torch.tensor([7.0, 7]), (2, 2)), DtypeError, "input_lengths must be whole numbers, got torch.float32"),
        (
            (X, T, [7, 7], (2, 2)),
            ArgumentError,
            "input_lengths must be a tensor or a tuple of whole numbers, got a list",
        ),
        (
            (X, T - 1, (7, 7), (2, 2)),
            ArgumentError,
            "targets must be classes between 0 and 4 other than the blank, 0, g",
        ),
        (
            (X, T + 2, (7, 7), (2, 2)),
            ArgumentError,
            "targets must be classes between 0 and 4 other than the blank, 0, g",
        ),
        (
            (X, -T, (7, 7), (2, 2)),
            ArgumentError,
            "targets must be classes between 0 and 4 other than the blank, 0, got",
        ),
    ],
)
def test_what_does_not_fit(arguments, error, text):
    with pytest.raises(error) as caught:
        CTCLoss().forward(*arguments)
    assert str(caught.value).startswith(f"CTCLoss: {text}")


def test_targets_behind_the_target_length_do_not_count():
    padded = torch.tensor([[1, 0], [3, 99]])
    assert CTCLoss()(X, padded, (7, 7), (1, 1)) == CTCLoss()(X, torch.tensor([1, 3]), (7, 7), (1, 1))


@pytest.mark.parametrize("blank", [-1, 1.5, True])
def test_a_blank_that_is_none(blank):
    with pytest.raises(ArgumentError, match="CTCLoss: blank must be a whole number of at least 0, got"):
        CTCLoss(blank=blank)
    with pytest.raises(ArgumentError, match="CTCLoss: blank must be one of the classes, 0 to 4 in log_probs"):
        CTCLoss(blank=5).forward(X, T, (7, 7), (2, 2))


def test_the_saved_value_of_a_loss_with_another_blank_gives_the_gradient_of_its_own_forward():
    log_probs = torch.randn(STEPS, 2, CLASSES).log_softmax(-1)
    _, saved = CTCLoss().forward(log_probs, T, (7, 7), (2, 2))
    _, again = CTCLoss().forward(log_probs, T, (7, 7), (2, 2))
    assert torch.equal(CTCLoss(blank=4).backward(1.0, saved), CTCLoss().backward(1.0, again))
