"""The losses around others: their values, and their gradients by finite differences and the conformance kit."""

import pytest
import torch

from mytorch.core import Loss, ShapeError
from mytorch.nn import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from mytorch.sklearn._losses import PerOutput, Weighted
from mytorch.testing import check_loss

pytestmark = pytest.mark.numbers
CASES = {
    "classes": (CrossEntropyLoss(reduction="none"), 3, lambda: torch.randint(3, (5,))),
    "labels": (BCEWithLogitsLoss(reduction="none"), 3, lambda: torch.randint(2, (5, 3)).double()),
    "numbers": (MSELoss(reduction="none"), 2, lambda: torch.randn(5, 2).double()),
    "targets": (PerOutput(CrossEntropyLoss(reduction="none"), [3, 2]), 5, lambda: torch.randint(2, (5, 2))),
}


@pytest.mark.parametrize(("loss", "columns", "draw"), CASES.values(), ids=CASES)
def test_weights_count_as_rows_that_are_repeated(loss, columns, draw):
    torch.manual_seed(0)
    prediction, target, weight = torch.randn(5, columns).double(), draw(), torch.tensor([1.0, 3, 2, 1, 4]).double()
    value, saved = Weighted(loss).forward(prediction, (target, weight))
    d_prediction = Weighted(loss).backward(0.7, saved)
    rows = torch.arange(5).repeat_interleave(weight.long())
    wanted, inner = Weighted(loss).forward(prediction[rows], (target[rows], torch.ones(len(rows)).double()))
    d_rows = Weighted(loss).backward(0.7, inner)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(d_prediction, torch.zeros_like(prediction).index_add_(0, rows, d_rows))
    total = Weighted(loss).weight_of(prediction, (target, weight.float()))
    assert total == 11
    assert total.dtype is torch.float64  # the compiled engine compares it with that of the eager one


@pytest.mark.parametrize(("loss", "columns", "draw"), CASES.values(), ids=CASES)
def test_equal_weights_give_the_mean_and_its_gradient(loss, columns, draw):
    torch.manual_seed(1)
    prediction, target = torch.randn(5, columns).double(), draw()
    value, saved = Weighted(loss).forward(prediction, (target, torch.full((5,), 0.3).double()))
    torch.testing.assert_close(value, loss(prediction, target).mean())
    each = torch.full(loss(prediction, target).shape, 0.7 / loss(prediction, target).numel()).double()
    wanted = loss.backward(each, loss.forward(prediction, target)[1])
    torch.testing.assert_close(Weighted(loss).backward(0.7, saved), wanted)


@pytest.mark.slow
def test_several_targets_pass_the_kit():
    target = torch.stack((torch.randint(3, (6,)), torch.randint(2, (6,))), 1)
    report = check_loss(lambda: PerOutput(CrossEntropyLoss(), [3, 2]), torch.randn(6, 5), target)
    assert len(report.passed) > 10


def test_several_targets_average_over_the_targets():
    torch.manual_seed(2)
    prediction, target = torch.randn(6, 5), torch.stack((torch.randint(3, (6,)), torch.randint(2, (6,))), 1)
    one = CrossEntropyLoss()
    wanted = (one(prediction[:, :3], target[:, 0]) + one(prediction[:, 3:], target[:, 1])) / 2
    torch.testing.assert_close(PerOutput(one, [3, 2])(prediction, target), wanted)


def test_a_loss_that_gives_rows_no_value_of_their_own_is_refused():
    class Squared(Loss):
        def forward(self, prediction, target):
            return (prediction - target).square().mean(), prediction - target

    with pytest.raises(
        ShapeError, match=r'Squared: reduction must be heeded .* for "none" must have 4 rows, got \(\)'
    ):
        Weighted(Squared()).forward(torch.ones(4, 1), (torch.zeros(4, 1), torch.ones(4)))
