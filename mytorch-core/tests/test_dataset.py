"""The contract of data sets, with torch's DataLoader."""

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import DataSet, rows_at


class Squares(DataSet):
    fetches = 0

    def __len__(self) -> int:
        return 10

    def __getitems__(self, indices: Tensor | list[int]) -> tuple[Tensor, Tensor]:
        self.fetches += 1
        x = torch.as_tensor(indices)
        return x.float().unsqueeze(1), x**2


def test_a_dataloader_fetches_a_batch_by_one_operation() -> None:
    data = Squares()
    batches = list(DataLoader(data, batch_size=4, collate_fn=lambda batch: batch))
    assert [tuple(inputs.shape) for inputs, _ in batches] == [(4, 1), (4, 1), (2, 1)]
    torch.testing.assert_close(torch.cat([targets for _, targets in batches]), torch.arange(10) ** 2)
    assert data.fetches == 3


def test_single_rows_and_iteration() -> None:
    data = Squares()
    x, y = data[-1]
    assert (x.item(), y.item()) == (9.0, 81)
    assert [int(target) for _, target in data] == [i**2 for i in range(10)]
    for index in (10, -11):
        with pytest.raises(IndexError, match=f"Squares: index must be below 10, got {index}"):
            data[index]


def test_what_is_known_and_what_a_subclass_must_write() -> None:
    assert (DataSet.columns, DataSet.classes, DataSet.preparation) == ((), None, None)

    class Empty(DataSet):
        pass

    with pytest.raises(NotImplementedError, match="Empty: __len__ must be defined"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty: __getitems__ must be defined"):
        Empty().__getitems__([0])


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
