"""Rows of tensors."""

import pytest
import torch

from mytorch.core import rows_at


@pytest.mark.parametrize("shape", [(7, 3), (7,), (7, 0, 2), (7, 2, 3)])
def test_rows_at(shape):
    values = torch.randn(2 * shape[0], *shape[1:])[::2]
    for indices in ([3, 0, 3], [], range(7)):
        listed = list(indices)
        wanted = torch.stack([values[index] for index in listed]) if listed else values[:0]
        for given in (listed, torch.tensor(listed, dtype=torch.int64), torch.tensor(listed, dtype=torch.int32)):
            found = rows_at(values, given)
            assert torch.equal(found, wanted)
            assert found.data_ptr() != values.data_ptr() or not found.numel()


@pytest.mark.parametrize("dtype", [torch.float16, torch.uint8, torch.uint16, torch.bool, torch.complex64])
def test_rows_at_of_any_dtype(dtype):
    values = torch.arange(12).reshape(6, 2).to(dtype)
    for given in (values, values.T.contiguous().T, values[::2]):
        assert torch.equal(rows_at(given, [2, 0]), torch.stack([given[2], given[0]]))


@pytest.mark.parametrize("indices", [[0, 7], [0, -8], [True] * 7, [1.7], torch.ones(7, dtype=torch.bool)])
@pytest.mark.parametrize("values", [torch.randn(7, 2), torch.randn(2, 7).T])
def test_indices_that_are_no_rows(values, indices):
    with pytest.raises(IndexError):
        rows_at(values, indices)


def test_a_mask_is_told():
    with pytest.raises(IndexError, match=r"rows_at: indices must be int64 or int32, got torch\.bool"):
        rows_at(torch.randn(2, 2), [True, False])
