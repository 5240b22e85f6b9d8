import torch
from gated_linear import GatedLinear

from mytorch.testing import check_layer


def test_backward_is_the_derivative_of_forward():
    check_layer(lambda: GatedLinear(3, 4), torch.randn(5, 3))


def test_leading_axes_and_no_rows():
    check_layer(lambda: GatedLinear(3, 4), torch.randn(2, 5, 3))
    assert GatedLinear(3, 4)(torch.randn(0, 3)).shape == (0, 4)
