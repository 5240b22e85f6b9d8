import doctest

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, DataSet, DtypeError, MytorchError, ShapeError
from mytorch.data import TensorDataSet, tensor_data_set


def small() -> TensorDataSet:
    return TensorDataSet(torch.randn(10, 2), torch.arange(10) % 3, ("a", "b"), ("x", "y", "z"), {"scale": 2})


def test_a_batch_is_one_indexing_operation() -> None:
    data = small()
    for indices in ([4, 1, 1], torch.tensor([4, 1, 1])):
        inputs, targets = data[indices]
        torch.testing.assert_close(inputs, data.inputs[[4, 1, 1]])
        torch.testing.assert_close(targets, torch.tensor([1, 1, 1]))
    assert data[[]][0].shape == (0, 2)


def test_knows_its_names() -> None:
    data = small()
    assert isinstance(data, DataSet)
    assert (len(data), data.columns, data.classes) == (10, ("a", "b"), ("x", "y", "z"))
    assert data.preparation == {"scale": 2}


def test_works_with_a_dataloader() -> None:
    data = small()
    batches = list(DataLoader(data, batch_size=4))
    assert [len(inputs) for inputs, _ in batches] == [4, 4, 2]
    torch.testing.assert_close(torch.cat([inputs for inputs, _ in batches]), data.inputs)
    assert len([row for row in data]) == 10  # noqa: C416


def test_what_does_not_fit_raises() -> None:
    with pytest.raises(ShapeError, match="TensorDataSet: inputs and targets must have the same number of rows, got 3"):
        TensorDataSet(torch.zeros(3, 2), torch.zeros(4))
    with pytest.raises(
        ShapeError, match="TensorDataSet: targets must have the rows as their first axis, got one number"
    ):
        TensorDataSet(torch.zeros(3), torch.tensor(1.0))
    with pytest.raises(
        ArgumentError, match=r"columns must name every input column, got 1 names for inputs of \(3, 2\)"
    ):
        TensorDataSet(torch.zeros(3, 2), torch.zeros(3), columns=("a",))


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        (np.array([[1.5, 2.0], [3.0, 4.0]]), np.array([0, 1])),
        (np.array([[1.5, 2.0], [3.0, 4.0]], dtype=np.float32), np.array([0, 1], dtype=np.int8)),
        (np.array([[3.0, 4.0], [1.5, 2.0]])[::-1], read_only(np.array([0, 1]))),
        (np.array([[1.5, 2.0], [3.0, 4.0]], dtype=">f8"), [0, 1]),
        ([[1.5, 2.0], [3.0, 4.0]], (0, 1)),
        ([torch.tensor([1.5, 2.0]), torch.tensor([3.0, 4.0])], [torch.tensor(0), torch.tensor(1)]),
        ([np.array([1.5, 2.0]), np.array([3.0, 4.0])], np.array([0, 1], dtype=np.uint16)),
    ],
)
def test_arrays_and_lists_become_what_layers_and_losses_take(inputs, targets) -> None:
    data = TensorDataSet(inputs, targets, columns=("a", "b"))
    assert torch.equal(data.inputs, torch.tensor([[1.5, 2.0], [3.0, 4.0]]))
    assert torch.equal(data.targets, torch.tensor([0, 1]))
    assert (data.inputs.dtype, data.targets.dtype) == (torch.float32, torch.int64)


def test_the_array_may_change_afterwards() -> None:
    array = np.ones((2, 2), dtype=np.float32)
    data = TensorDataSet(array, [0.5, 1.5])
    array[:] = 0
    assert bool((data.inputs == 1).all())
    assert data.targets.dtype is torch.float32


def test_the_default_dtype_decides_for_arrays_and_tensors_are_kept() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert TensorDataSet(np.ones((2, 2), dtype=np.float32), [0, 1]).inputs.dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    kept = torch.ones(2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.int32)
    data = TensorDataSet(*kept)
    assert data.inputs is kept[0]
    assert data.targets is kept[1]


def test_whole_numbers_among_the_inputs_stay_as_they_are() -> None:
    assert TensorDataSet(np.zeros((2, 4), dtype=np.uint8), [0, 1]).inputs.dtype is torch.uint8


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "text"),
    [
        (np.zeros((3, 2)), [0, 1], ShapeError, "inputs and targets must have the same number of rows, got 3 and 2"),
        (1.5, [1], ShapeError, "inputs must have the rows as their first axis, got one number"),
        (np.float64(2), [1], ShapeError, "inputs must have the rows as their first axis"),
        ([[1.0], [1.0, 2.0]], [0, 1], ShapeError, "rows of inputs must have one shape, got a list of different ones"),
        ([torch.zeros(1), torch.zeros(2)], [0, 1], ShapeError, "rows of inputs must have one shape"),
        (np.array([1, "a"], dtype=object), [0, 1], DtypeError, "inputs must be numbers, got a ndarray of object"),
        ([["a"], ["b"]], [0, 1], DtypeError, "inputs must be numbers, got a list of <U1; encode text .*Table"),
        ([1, 2], ["no", "yes"], DtypeError, "targets must be numbers, got a list of <U3"),
        ([1, 2], None, DtypeError, "targets must be numbers, got a NoneType of object"),
        ([1, 2], np.array(["2026", "2027"], dtype="datetime64"), DtypeError, "targets must be numbers"),
        ({"x": 1}, [1], DtypeError, "inputs must be numbers, got a dict of object"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(inputs, targets, error, text) -> None:
    with pytest.raises(error, match=f"TensorDataSet: {text}") as caught:
        TensorDataSet(inputs, targets)
    assert isinstance(caught.value, MytorchError)


def test_the_example_holds() -> None:
    result = doctest.testmod(tensor_data_set)
    assert result.attempted > 3
    assert not result.failed
