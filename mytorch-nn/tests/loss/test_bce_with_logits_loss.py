import pytest
import torch

from mytorch.core import AutogradError, DtypeError, ShapeError
from mytorch.nn import BCEWithLogitsLoss
from mytorch.testing import check_loss

REDUCTIONS = ["mean", "sum", "none"]
WEIGHTS = [
    {},
    {"weight": torch.rand(3) + 0.5},
    {"pos_weight": torch.rand(3) + 0.5},
    {"weight": torch.rand(5, 1) + 0.5, "pos_weight": torch.tensor(2.5)},
]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", WEIGHTS, ids=lambda weights: "+".join(weights))
def test_the_contract(weights, reduction):
    of_rows = any(len(value) == 5 for value in weights.values() if value.dim())  # then no other rows will do
    check_loss(
        lambda: BCEWithLogitsLoss(reduction=reduction, **weights),
        torch.randn(5, 3),
        torch.rand(5, 3),
        tags=("mixes_batch",) if of_rows else (),
    )


def test_large_logits_stay_finite(agree):
    x = torch.tensor([500.0, -500.0, 500.0, -500.0])
    target = torch.tensor([1.0, 1.0, 0.0, 0.0])
    agree(BCEWithLogitsLoss(), torch.nn.BCEWithLogitsLoss(), x, target, targets=1)


def test_weights_are_buffers_as_in_torch():
    loss = BCEWithLogitsLoss(**WEIGHTS[3])
    assert list(loss.state_dict()) == list(torch.nn.BCEWithLogitsLoss(**WEIGHTS[3]).state_dict())
    assert loss.to(torch.float64).weight.value.dtype == torch.float64


X = torch.zeros(5, 3)


@pytest.mark.parametrize(
    ("options", "target", "error", "text"),
    [
        ({}, torch.zeros(5), ShapeError, "target must have the shape of the prediction, (5, 3), got (5,)"),
        ({}, X.long(), DtypeError, "target must be floating point, got torch.int64; convert with .float()"),
        ({"weight": torch.ones(4)}, X, ShapeError, "weight must broadcast to the prediction, (5, 3), got (4,)"),
        (
            {"pos_weight": torch.ones(2, 5, 3)},
            X,
            ShapeError,
            "pos_weight must broadcast to the prediction, (5, 3), got",
        ),
    ],
)
def test_bad_input(options, target, error, text):
    with pytest.raises(error) as caught:
        BCEWithLogitsLoss(**options).forward(X, target)
    assert str(caught.value).startswith(f"BCEWithLogitsLoss: {text}")


def test_a_target_that_requires_grad_is_refused():
    prediction, target = torch.randn(4, 3), torch.rand(4, 3, requires_grad=True)
    with pytest.raises(AutogradError, match="BCEWithLogitsLoss: target must not require grad"):
        BCEWithLogitsLoss().forward(prediction, target)
    with torch.inference_mode():
        BCEWithLogitsLoss().forward(prediction, target)
