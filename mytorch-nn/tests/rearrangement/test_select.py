import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch.core import ArgumentError, ShapeError
from mytorch.nn import Select


class Twin(torch.nn.Module):
    def __init__(self, dim, index):
        super().__init__()
        self.dim, self.index = dim, index

    def forward(self, x):
        return x.select(self.dim, self.index)


@given(data=st.data(), shape=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_as_torch(agree, data, shape):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    index = data.draw(st.integers(-shape[dim], shape[dim] - 1))
    agree(Select(dim, index), Twin(dim, index), torch.randn(shape))


def test_an_empty_batch_and_half_precision(agree):
    agree(Select(1, 0), Twin(1, 0), torch.randn(0, 3, 2))
    y, saved = Select(0, 1).forward(torch.ones(2, 3, dtype=torch.bfloat16))
    assert Select(0, 1).backward(y, saved).dtype is torch.bfloat16


def test_what_does_not_fit():
    x = torch.randn(2, 3)
    for dim, index in ((2, 0), (-3, 0), (1, 3), (1, -4)):
        with pytest.raises(ShapeError) as caught:
            Select(dim, index).forward(x)
        assert str(caught.value) == f"Select: x must have an index {index} along axis {dim}, got (2, 3)"
    with pytest.raises(ArgumentError, match=r"Select: index must be a whole number, got 1\.0"):
        Select(1, 1.0)
    with pytest.raises(ArgumentError, match="Select: dim must be a whole number, got True"):
        Select(True, 1)
    y, saved = Select(1, 2).forward(x)
    with pytest.raises(ShapeError, match=r"Select: d_y must have the shape of the output, \(2,\), got \(1,\)"):
        Select(1, 2).backward(y[:1], saved)
    with pytest.raises(ArgumentError, match=r"Select: saved must be that of a layer with dim and index \(1, 1\), got"):
        Select(1, 1).backward(y, saved)
    with pytest.raises(ArgumentError, match="Select: saved must be a tuple of 2"):
        Select(1, 1).backward(y, x)
