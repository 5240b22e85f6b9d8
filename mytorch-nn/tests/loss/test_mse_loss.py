import pytest
import torch

from mytorch.core import ArgumentError, AutogradError, DtypeError, ShapeError
from mytorch.nn import MSELoss
from mytorch.testing import check_loss

REDUCTIONS = ["mean", "sum", "none"]
SHAPES = [(5, 3), (1, 3), (4,), (), (2, 3, 4), (0, 3)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES[:5], ids=str)
def test_the_contract(shape, reduction):
    check_loss(lambda: MSELoss(reduction), torch.randn(shape), torch.randn(shape))


def test_the_mean_of_nothing_is_nan():
    value, saved = MSELoss().forward(torch.zeros(0, 2), torch.zeros(0, 2))
    assert value.isnan()
    assert MSELoss().backward(1.0, saved).shape == (0, 2)


def test_a_target_of_another_dtype():
    value, saved = MSELoss().forward(torch.ones(2), torch.zeros(2, dtype=torch.float64))
    assert value == 1
    assert MSELoss().backward(1.0, saved).dtype == torch.float32


@pytest.mark.parametrize(
    ("prediction", "target", "error", "text"),
    [
        (
            torch.zeros(5, 1),
            torch.zeros(5),
            ShapeError,
            "MSELoss: target must have the shape of the prediction, (5, 1), got (5,); target.reshape(5, 1) would fit",
        ),
        (
            torch.zeros(2).long(),
            torch.zeros(2),
            DtypeError,
            "MSELoss: prediction must be floating point, got torch.int",
        ),
        (
            torch.zeros(2, requires_grad=True),
            torch.zeros(2),
            AutogradError,
            "MSELoss: prediction must not require grad",
        ),
    ],
)
def test_bad_input(prediction, target, error, text):
    with pytest.raises(error) as caught:
        MSELoss().forward(prediction, target)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_a_target_that_holds_no_real_numbers(dtype):
    with pytest.raises(DtypeError, match=f"MSELoss: target must hold real numbers, got {dtype}; convert with .float"):
        MSELoss().forward(torch.zeros(2), torch.zeros(2, dtype=dtype))


def test_bad_upstream_gradient():
    x = torch.zeros(5, 2)
    with pytest.raises(ShapeError) as caught:
        MSELoss().backward(torch.ones(5, 2), x)
    assert str(caught.value) == (
        "MSELoss: d_value must be a number, or a tensor with the shape of the value, (), got (5, 2)"
    )
    with pytest.raises(ShapeError, match=r"shape of the value, \(5, 2\), got \(2,\)"):
        MSELoss("none").backward(torch.ones(2), x)


def test_bad_reduction():
    with pytest.raises(ArgumentError, match="MSELoss: reduction must be one of mean, sum, none, got 'average'"):
        MSELoss("average")


def test_a_target_that_requires_grad_is_refused():
    prediction, target = torch.randn(4, 3), torch.randn(4, 3, requires_grad=True)
    with pytest.raises(AutogradError, match="MSELoss: target must not require grad"):
        MSELoss().forward(prediction, target)
    with torch.inference_mode():
        MSELoss().forward(prediction, target)
