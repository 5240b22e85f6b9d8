import pytest
import torch

from mytorch.core import ShapeError
from mytorch.nn import Flatten
from mytorch.testing import check_layer

CASES = [
    ((2, 3, 4), {}),
    ((2, 3), {}),
    ((0, 3, 4), {}),
    ((2, 3, 4, 5), {"start_dim": 0, "end_dim": 2}),
    ((), {"start_dim": 0}),
]
CASES += [((2, 3, 4, 5), {"start_dim": -3, "end_dim": -2})]


@pytest.mark.parametrize(("shape", "options"), CASES)
def test_the_contract(shape, options):
    check_layer(lambda: Flatten(**options), torch.randn(shape), modes=("train",), tags=("fixed_dimensions",))


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((3,), {}, "Flatten: x must have axes 1 to -1, in this order, got 1 axes in (3,)"),
        ((3, 2), {"end_dim": 2}, "Flatten: x must have axes 1 to 2, in this order, got 2 axes in (3, 2)"),
        ((3, 2), {"end_dim": 0}, "Flatten: x must have axes 1 to 0, in this order, got 2 axes in (3, 2)"),
    ],
)
def test_bad_input(shape, options, text):
    with pytest.raises(ShapeError) as caught:
        Flatten(**options).forward(torch.zeros(shape))
    assert str(caught.value) == text
