"""The contract of data sets: indexed as arrays are, and taken by torch's DataLoader."""

import doctest

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset, random_split

from mytorch.core import DataSet, MytorchError, RowIndexError, View, dataset
from mytorch.core.batch import rows_within


class Squares(DataSet):
    fetches = 0

    def __len__(self) -> int:
        return 10

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        self.fetches += 1
        assert indices.dtype is torch.int64
        assert indices.dim() == 1
        return indices.double().unsqueeze(1), indices**2


class Named(DataSet):
    """Inputs by name, one of them a tuple, and no targets."""

    def __len__(self) -> int:
        return 4

    def batch_at(self, indices: Tensor) -> tuple[dict[str, object], None]:
        return {"x": indices.float(), "pair": (indices, indices + 1)}, None


def numbers(batch: tuple[Tensor, Tensor]) -> list[int]:
    inputs, targets = batch
    assert inputs.shape == (len(targets), 1)
    torch.testing.assert_close(inputs[:, 0] ** 2, targets.double())
    return [int(value) for value in inputs[:, 0]]


MASK = [row in (2, 5, 9) for row in range(10)]


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (slice(1, 4), [1, 2, 3]),
        (slice(None), list(range(10))),
        (slice(-2, None), [8, 9]),
        (slice(8, 100, 3), [8]),
        (slice(None, None, -4), [9, 5, 1]),
        (slice(5, 2), []),
        (slice(2, 5, -1), []),
        ([1, 2], [1, 2]),
        ([7, 0, 7, -1, -10], [7, 0, 7, 9, 0]),
        ([], []),
        (range(3), [0, 1, 2]),
        ([torch.tensor(4), torch.tensor(2)], [4, 2]),
        (torch.tensor([3, -3]), [3, 7]),
        (torch.tensor([3, -3], dtype=torch.int32), [3, 7]),
        (torch.zeros(0, dtype=torch.int64), []),
        (torch.tensor(MASK), [2, 5, 9]),
        (MASK, [2, 5, 9]),
        (np.array([6, -1]), [6, 9]),
        (np.array(MASK), [2, 5, 9]),
        (np.array([], dtype=np.float64), []),
    ],
)
def test_slices_lists_tensors_and_masks_give_a_batch(index, rows):
    assert numbers(Squares()[index]) == rows


@pytest.mark.parametrize("index", [3, -7, np.int64(3), torch.tensor(3), torch.tensor(-7, dtype=torch.int32)])
def test_a_whole_number_gives_a_row(index):
    x, y = Squares()[index]
    assert (x.tolist(), y.tolist()) == ([3.0], 9)
    assert x.shape == (1,)


def test_iteration_gives_the_rows():
    assert [int(target) for _, target in Squares()] == [row**2 for row in range(10)]


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (10, "Squares: index must be from -10 to 9, got 10"),
        (-11, "Squares: index must be from -10 to 9, got -11"),
        (2**70, "Squares: index must be from -10 to 9, got 1180591620717411303424"),
        ([3, 10], "Squares: indices must be from -10 to 9, got 10"),
        (torch.tensor([-11, 10]), "Squares: indices must be from -10 to 9, got -11"),
        ([True] * 9, "Squares: a mask must have one entry for each of 10 rows, got 9"),
        (True, "Squares: an index must be a whole number, a slice, or a list or tensor .*, got a bool"),
        (torch.tensor(True), r"Squares: an index must be .*, got shape \(\)"),
        (1.0, "Squares: an index must be .*, got a float"),
        ("1", "Squares: an index must be .*, got a str"),
        (None, "Squares: an index must be .*, got a NoneType"),
        ((1, 2), "Squares: an index must be .*, got a tuple"),
        ([1.0, 2.0], "Squares: an index must be .*, got torch.float32"),
        (["a"], "Squares: an index must be .*, got a list of something else"),
        ([2**70], "Squares: an index must be .*, got a list of something else"),
        ([[1], [2]], r"Squares: an index must be .*, got shape \(2, 1\)"),
        (torch.tensor([1], dtype=torch.uint8), "Squares: an index must be .*, got torch.uint8"),
        (slice("a", None), "Squares: a slice must be of whole numbers with a step that is not 0, got slice"),
        (slice(None, None, 0), "Squares: a slice must be of whole numbers"),
    ],
)
def test_what_means_no_row_is_an_error_that_names_the_data_set(index, text):
    with pytest.raises(RowIndexError, match=text) as caught:
        Squares()[index]
    assert isinstance(caught.value, IndexError)
    assert isinstance(caught.value, MytorchError)


def test_a_data_set_without_rows():
    class Nothing(Squares):
        def __len__(self):
            return 0

    assert numbers(Nothing()[:]) == numbers(Nothing()[[]]) == []
    assert list(Nothing()) == []
    for index in (0, [0], torch.tensor([-1])):
        with pytest.raises(RowIndexError, match="Nothing: an index must mean a row, got one into a data set without"):
            Nothing()[index]


def test_rows_of_tuples_and_of_names():
    inputs, target = Named()[-1]
    assert target is None
    assert inputs["x"].tolist() == 3.0
    assert [entry.tolist() for entry in inputs["pair"]] == [3, 4]
    inputs, _ = Named()[1:3]
    assert inputs["pair"][1].tolist() == [2, 3]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "wrap", [lambda data: data, lambda data: View(data, range(10)), lambda data: Subset(data, range(10))]
)
def test_a_plain_dataloader_makes_the_batches(workers, wrap):
    batches = list(DataLoader(wrap(Squares()), batch_size=4, num_workers=workers))
    assert [numbers(tuple(batch)) for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_dataloader_without_batches_gives_rows_and_a_shuffled_one_every_row():
    assert [int(target) for _, target in DataLoader(Squares(), batch_size=None)] == [row**2 for row in range(10)]
    shuffled = DataLoader(Squares(), batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(0))
    assert sorted(row for batch in shuffled for row in numbers(tuple(batch))) == list(range(10))


def test_a_dataloader_fetches_a_batch_by_one_operation():
    data = Squares()
    list(DataLoader(data, batch_size=4))
    assert data.fetches == 3


def test_a_dataloader_collates_inputs_by_name():
    class Told(Named):
        def batch_at(self, indices):
            return super().batch_at(indices)[0], indices

    inputs, targets = next(iter(DataLoader(Told(), batch_size=3)))
    assert inputs["x"].tolist() == targets.tolist() == [0, 1, 2]
    assert inputs["pair"][1].tolist() == [1, 2, 3]


def test_torchs_random_split_and_slices_of_its_parts():
    part, other = random_split(Squares(), [6, 4], generator=torch.Generator().manual_seed(0))
    assert sorted(numbers(part[:]) + numbers(other[:])) == list(range(10))
    assert numbers(part[:2]) == part.indices[:2]
    assert [int(target) for _, target in part] == [row**2 for row in part.indices]


def test_what_is_known_and_what_a_subclass_must_write():
    assert (DataSet.columns, DataSet.classes, DataSet.targets, DataSet.preparation) == ((), None, None, None)
    values = torch.randn(3)
    assert Squares().in_units(values) is values

    class Empty(DataSet):
        pass

    with pytest.raises(NotImplementedError, match="Empty: __len__ must be defined"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty: batch_at must be defined"):
        Empty().batch_at(torch.tensor([0]))


def test_the_example_holds():
    assert doctest.testmod(dataset).attempted > 5
    assert not doctest.testmod(dataset).failed


@pytest.mark.parametrize(("shape", "most"), [((3, 8), 20), ((3, 100, 100), 8), ((3, 1000, 1000), 1)])
def test_rows_that_are_read_at_once_stay_within_their_memory(shape, most):
    class Images(DataSet):
        def __len__(self):
            return 30

        def batch_at(self, indices):
            return torch.zeros(len(indices), *shape), None

    assert rows_within(Images(), 20, 2**20) == most
    assert rows_within([1, 2], 20) == 20
    assert Images().plain.batch_at(torch.arange(2))[0].shape == (2, *shape)
