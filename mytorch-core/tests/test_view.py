"""Rows of another data set, and data sets made from others."""

import doctest

import pytest
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, RowIndexError, View, Wrapped, view


class Points(DataSet):
    columns = ("x",)
    classes = ("even", "odd")
    preparation = {"scale": 2}  # noqa: RUF012

    def __init__(self, rows: int = 10) -> None:
        self.targets = torch.arange(rows) % 2
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.targets)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        self.asked.append(indices.tolist())
        return indices.double().unsqueeze(1), self.targets[indices]

    def in_units(self, values: Tensor) -> Tensor:
        return values * 100


def rows(batch: tuple[Tensor, Tensor]) -> list[int]:
    torch.testing.assert_close(batch[0][:, 0] % 2, batch[1].double())
    return [int(value) for value in batch[0][:, 0]]


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([9, 3, 4, 3], [9, 3, 4, 3]),
        (torch.tensor([1, -1], dtype=torch.int32), [1, 9]),
        (slice(2, 8, 3), [2, 5]),
        ([row > 7 for row in range(10)], [8, 9]),
        ([], []),
    ],
)
def test_a_view_has_the_rows_it_names_in_their_order(indices, expected):
    part = View(Points(), indices)
    assert len(part) == len(expected)
    assert rows(part[:]) == part.indices.tolist() == expected
    assert part.targets.tolist() == [row % 2 for row in expected]


def test_a_view_names_its_rows_as_the_data_set_does():
    data = Points(4)
    data.row_names = "file", ["a.png", "b.png", "c.png", "d.png"]
    assert View(data, [2, 0]).row_names == ("file", ["c.png", "a.png"])
    assert View(View(data, [2, 0, 1]), [1]).row_names == ("file", ["a.png"])
    assert Wrapped(data).row_names == data.row_names
    assert View(Points(), [2]).row_names is None


def test_it_is_indexed_as_every_data_set():
    part = View(Points(), [9, 3, 4])
    assert rows(part[1:]) == [3, 4]
    assert rows(part[[-1, 0]]) == [4, 9]
    assert rows(part[torch.tensor([False, True, False])]) == [3]
    assert part[0][0].tolist() == [9.0]
    with pytest.raises(RowIndexError, match="View: index must be from -3 to 2, got 3"):
        part[3]


def test_what_the_contract_says_of_the_data_is_said_of_its_rows():
    part = View(View(Points(), range(5)), [1])
    assert (part.columns, part.classes, part.preparation) == (("x",), ("even", "odd"), {"scale": 2})
    assert part.in_units(torch.tensor(2.0)) == 200


def test_a_view_of_a_view():
    part = View(View(Points(), [9, 7, 5, 3]), [3, 1])
    assert rows(part[:]) == [3, 7]
    assert part.targets.tolist() == [1, 1]


def test_rows_are_fetched_when_they_are_asked_for_and_no_others():
    data = Points()
    part = View(data, [9, 3, 4])
    assert data.asked == []
    part[1]
    part[:2]
    assert data.asked == [[3], [9, 3]]


def test_targets_that_do_not_lie_in_memory_stay_unknown():
    data = Points()
    data.targets = range(10)  # what some call targets is no tensor
    assert View(data, [1]).targets is None


@pytest.mark.parametrize("made", [lambda data: View(data, [0]), Wrapped])
@pytest.mark.parametrize("data", [[(1, 2)], torch.zeros(3, 2), None])
def test_what_is_no_data_set_is_refused(made, data):
    with pytest.raises(ArgumentError, match=r"data must be a mytorch\.core\.DataSet, got a .*TensorDataSet"):
        made(data)


@pytest.mark.parametrize("indices", [[10], [-11], 3, "ab", [0.5], [True]])
def test_indices_that_are_no_rows_are_refused(indices):
    with pytest.raises(RowIndexError, match="View: "):
        View(Points(), indices)


def test_a_data_set_made_from_another_changes_what_it_says():
    class Shifted(Wrapped):
        def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
            inputs, targets = self.data.batch_at(indices)
            return inputs + 2, targets

    data = Shifted(Points())
    assert rows(data[:3]) == [2, 3, 4]
    assert rows(Wrapped(Points())[:3]) == [0, 1, 2]
    assert len(data) == 10
    assert (data.columns, data.classes, data.preparation, data.targets) == (*_told(Points()), None)
    assert data.in_units(torch.tensor(1.0)) == 100


def _told(data: DataSet) -> tuple[object, ...]:
    return data.columns, data.classes, data.preparation


def test_the_examples_hold():
    assert doctest.testmod(view).attempted > 5
    assert not doctest.testmod(view).failed
