"""Seeded splits."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, DataSet, View
from mytorch.data import Disk, SplitWarning, TensorDataSet, split


def numbered(rows: int) -> TensorDataSet:
    return TensorDataSet(
        torch.arange(rows, dtype=torch.float64).unsqueeze(1), torch.arange(rows).double(), ("n",), ("c",), {"p": 1}
    )


def of_classes(*counts: int, names: tuple[str, ...] | None = None) -> TensorDataSet:
    """So many rows of each class, in this order; the input is the row."""
    classes = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return TensorDataSet(torch.arange(len(classes)).unsqueeze(1), classes, classes=names)


def counts(part: View, classes: int) -> list[int]:
    return part[:][1].bincount(minlength=classes).tolist()


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [
        ((0.8, 0.2), [81, 20]),
        ((1.0,), [101]),
        ((0.7, 0.15, 0.15), [71, 15, 15]),
        ([0.1] * 10, [10, 10, 10, 10, 10, 11, 10, 10, 10, 10]),
        ((71, 20, 10), [71, 20, 10]),
        ([101], [101]),
    ],
)
@pytest.mark.parametrize("data", [numbered(101), of_classes(60, 30, 11)], ids=["numbers", "classes"])
def test_parts_share_no_row_and_lose_none(data: DataSet, shares: Any, sizes: list[int]) -> None:
    parts = split(data, shares, seed=5)
    assert [len(part) for part in parts] == sizes
    rows = torch.cat([part[:][0][:, 0] for part in parts])
    assert sorted(rows.tolist()) == list(range(101))
    assert rows.tolist() != list(range(101))


def test_the_seed_decides() -> None:
    data = numbered(50)
    first, again, other = (split(data, (0.5, 0.5), seed=seed)[0].indices for seed in (1, 1, 2))
    torch.testing.assert_close(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    split(data, (0.5, 0.5))
    torch.testing.assert_close(torch.rand(2), expected)


def test_a_part_is_a_data_set_with_the_names_of_the_whole() -> None:
    part, _ = split(numbered(10), (0.6, 0.4))
    assert (part.columns, part.classes, part.preparation) == (("n",), ("c",), {"p": 1})
    inputs, targets = part[:3]
    torch.testing.assert_close(inputs[:, 0], targets)
    torch.testing.assert_close(targets, part.indices[:3].double())
    batches = list(DataLoader(part, batch_size=4))
    assert [len(inputs) for inputs, _ in batches] == [4, 2]


def test_rows_are_fetched_when_they_are_asked_for() -> None:
    data = Lazy(None)
    part, _ = split(data, (0.5, 0.5))
    assert data.asked == []
    part[[3]]
    assert data.asked == [part.indices[3].item()]


def test_a_part_can_be_split_again() -> None:
    train, test = split(Disk(100), (0.8, 0.2))
    inner, held = split(train, (0.5, 0.5))
    rows = [part.data.indices[part.indices] for part in (inner, held)] + [test.indices]
    assert sorted(torch.cat(rows).tolist()) == list(range(100))


@pytest.mark.parametrize("seed", range(5))
def test_every_part_gets_its_share_of_every_class(seed: int) -> None:
    training, validation, test = split(of_classes(100, 20, 60), (0.7, 0.15, 0.15), seed)
    for part, expected in ((training, (70, 14, 42)), (validation, (15, 3, 9)), (test, (15, 3, 9))):
        assert all(abs(got - want) <= 1 for got, want in zip(counts(part, 3), expected, strict=True))


def test_without_stratification_the_order_alone_decides() -> None:
    data = of_classes(90, 10)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(3))
    parts = split(data, (0.5, 0.5), seed=3, stratify=False)
    assert [part.indices.tolist() for part in parts] == [order[:50].tolist(), order[50:].tolist()]
    numbers = TensorDataSet(data.inputs, data.targets.double())
    assert [part.indices.tolist() for part in split(numbers, (50, 50), seed=3)] == [
        order[:50].tolist(),
        order[50:].tolist(),
    ]
    assert any(counts(split(data, (0.5, 0.5), seed, stratify=False)[0], 2) != [45, 5] for seed in range(5))


def test_the_rows_of_a_part_come_in_no_order_of_classes() -> None:
    training, _ = split(of_classes(50, 50), (0.8, 0.2))
    classes = training[:][1]
    assert 15 < int((classes[1:] != classes[:-1]).sum()) < 65


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_rare_class_has_a_row_in_the_first_part(seed: int, share: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SplitWarning)
        first, _ = split(of_classes(60, 1, 2, 37), (share, 1 - share), seed)
    assert min(counts(first, 4)) >= 1


def test_a_class_without_a_row_in_a_part_is_told() -> None:
    data = of_classes(50, 1, 2, names=("common", "lone", "twin"))
    with pytest.warns(SplitWarning) as caught:
        parts = split(data, (0.7, 0.15, 0.15))
    assert [str(warning.message).splitlines() for warning in caught] == [
        [
            "split: class 'lone' has only 1 row in the training part, no row in the validation part, no row in the "
            "test part; it has 1 in all",
            "split: class 'twin' has only 1 row in the training part, only 1 row in the validation part, no row in "
            "the test part; it has 2 in all",
            "split: results for so few rows depend on chance; add rows of the class, or join it with another class",
        ]
    ]
    assert caught[0].filename == __file__
    assert [counts(part, 3)[1:] for part in parts] == [[1, 1], [0, 1], [0, 0]]


@pytest.mark.parametrize("count", [4, 5, 6])
def test_a_class_with_fewer_than_five_rows_in_a_part_is_told(count: int) -> None:
    data = of_classes(50, 2 * count, names=("common", "rare"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        split(data, (0.5, 0.5))
    told = [str(warning.message).split(";")[0] for warning in caught]
    assert told == (["split: class 'rare' has only 4 rows in part 1, only 4 rows in part 2"] if count < 5 else [])


def test_many_missing_classes_are_not_all_named() -> None:
    with pytest.warns(
        SplitWarning,
        match=r"(?s)split: class 9 has only 1 row in part 1, no row .*split: and 20 more classes\nsplit: results .*$",
    ):
        split(of_classes(*[1] * 30), (15, 15))


def test_classes_of_any_whole_number() -> None:
    data = TensorDataSet(torch.zeros(40, 1), torch.tensor([-100, 7] * 20))
    for part in split(data, (0.5, 0.5)):
        assert part[:][1].unique(return_counts=True)[1].tolist() == [10, 10]


class Lazy(DataSet):
    """Rows that are read when they are asked for."""

    def __init__(self, classes: tuple[str, ...] | None) -> None:
        self.classes = classes
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 20

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        self.asked += indices.tolist()
        return torch.zeros(len(indices), 1), indices % 2


def test_classes_that_do_not_lie_in_memory_are_read_once() -> None:
    data = Lazy(("even", "odd"))
    training, test = split(data, (0.5, 0.5))
    assert data.asked == [0, *range(20)]  # the first tells how many may be read at once
    assert counts(training, 2) == counts(test, 2) == [5, 5]


def test_a_part_of_classes_can_be_split_again() -> None:
    training, _ = split(of_classes(40, 40), (0.5, 0.5))
    assert [counts(part, 2) for part in split(training, (0.5, 0.5))] == [[10, 10], [10, 10]]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.3), r"split: shares must add up to 1, got \[0\.8, 0\.3\], which add up to 1\.1"),
        ((), r"split: shares must be numbers above 0 that add up to 1, or whole numbers of rows, got \[\]"),
        (None, "split: shares must be several numbers, such as .*, got None"),
        (0.8, "split: shares must be several numbers, such as .*, got 0.8"),
        ((1.5, -0.5), "split: shares must be numbers above 0"),
        ((float("nan"), 0.5), "split: shares must be numbers above 0"),
        ((True, False), "split: shares must be numbers above 0"),
        (("0.5", "0.5"), "split: shares must be numbers above 0"),
        ((0.99, 0.01), r"split: every part must get at least one row, got \[10, 0\] of 10 rows"),
        ((10, 0), r"split: every part must get at least one row, got \[10, 0\] of 10 rows"),
        ((5, 4), r"split: numbers of rows must add up to all 10, got \[5, 4\], which add up to 9"),
    ],
)
def test_shares_that_do_not_fit_raise(shares: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        split(numbered(10), shares)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, True, 1.0, None])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(ArgumentError, match=r"split: seed must be a whole number from 0 to 2\*\*63 - 1, got "):
        split(numbered(10), (0.5, 0.5), seed)
