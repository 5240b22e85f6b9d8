import pytest
import torch
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, DataSet, ShapeError
from mytorch.data import TensorDataSet


def small() -> TensorDataSet:
    return TensorDataSet(torch.randn(10, 2), torch.arange(10) % 3, ("a", "b"), ("x", "y", "z"), {"scale": 2})


def test_a_batch_is_one_indexing_operation() -> None:
    data = small()
    for indices in ([4, 1, 1], torch.tensor([4, 1, 1])):
        inputs, targets = data.__getitems__(indices)
        torch.testing.assert_close(inputs, data.inputs[[4, 1, 1]])
        torch.testing.assert_close(targets, torch.tensor([1, 1, 1]))
    assert data.__getitems__([])[0].shape == (0, 2)


def test_knows_its_names() -> None:
    data = small()
    assert isinstance(data, DataSet)
    assert (len(data), data.columns, data.classes) == (10, ("a", "b"), ("x", "y", "z"))
    assert data.preparation == {"scale": 2}


def test_works_with_a_dataloader() -> None:
    data = small()
    batches = list(DataLoader(data, batch_size=4, collate_fn=lambda batch: batch))
    assert [len(inputs) for inputs, _ in batches] == [4, 4, 2]
    torch.testing.assert_close(torch.cat([inputs for inputs, _ in batches]), data.inputs)
    assert len([row for row in data]) == 10  # noqa: C416


def test_what_does_not_fit_raises() -> None:
    with pytest.raises(ShapeError, match="TensorDataSet: inputs and targets must have the same number of rows, got 3"):
        TensorDataSet(torch.zeros(3, 2), torch.zeros(4))
    with pytest.raises(ShapeError, match="TensorDataSet: inputs and targets must have the rows as their first axis"):
        TensorDataSet(torch.zeros(3), torch.tensor(1.0))
    with pytest.raises(
        ArgumentError, match=r"columns must name every input column, got 1 names for inputs of \(3, 2\)"
    ):
        TensorDataSet(torch.zeros(3, 2), torch.zeros(3), columns=("a",))
