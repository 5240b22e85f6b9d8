from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, DataSet
from mytorch.data import Disk, TensorDataSet, split


def numbered(rows: int) -> TensorDataSet:
    return TensorDataSet(
        torch.arange(rows, dtype=torch.float64).unsqueeze(1), torch.arange(rows), ("n",), ("c",), {"p": 1}
    )


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (1.0,), (0.7, 0.2, 0.1), [0.1] * 10, (1 / 3, 1 / 3, 1 / 3)])
def test_parts_share_no_row_and_lose_none(fractions: Any) -> None:
    parts = split(numbered(101), fractions, seed=5)
    rows = [set(part[:].tolist()) for part in (torch.cat([t.reshape(1) for _, t in part]) for part in parts)]
    assert set.union(*rows) == set(range(101))
    assert sum(len(part) for part in parts) == 101
    for part, share in zip(parts, fractions, strict=True):
        assert abs(len(part) - 101 * share) <= 1


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
    for indices in ([0, 2], torch.tensor([0, 2])):
        inputs, targets = part.__getitems__(indices)
        torch.testing.assert_close(inputs[:, 0], targets.double())
        torch.testing.assert_close(targets, part.indices[[0, 2]])
    batches = list(DataLoader(part, batch_size=4, collate_fn=lambda batch: batch))
    assert [len(inputs) for inputs, _ in batches] == [4, 2]


def test_rows_are_fetched_when_they_are_asked_for() -> None:
    class Lazy(DataSet):
        asked: Any = None

        def __len__(self) -> int:
            return 20

        def __getitems__(self, indices: Tensor | list[int]) -> tuple[Any, Any]:
            self.asked = indices
            return torch.zeros(len(indices), 1), torch.zeros(len(indices))

    data = Lazy()
    part, _ = split(data, (0.5, 0.5))
    assert data.asked is None
    part.__getitems__([3])
    assert data.asked.tolist() == [part.indices[3].item()]


def test_a_part_can_be_split_again() -> None:
    train, test = split(Disk(100), (0.8, 0.2))
    inner, held = split(train, (0.5, 0.5))
    rows = [part.dataset.indices[part.indices] for part in (inner, held)] + [test.indices]
    assert sorted(torch.cat(rows).tolist()) == list(range(100))


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ((0.8, 0.3), r"split: fractions must add up to 1, got \[0\.8, 0\.3\], which add up to 1\.1"),
        ((), r"split: fractions must be above 0 and at most 1, got \[\]"),
        ((1.5, -0.5), "split: fractions must be above 0 and at most 1"),
        ((0.99, 0.01), r"split: every part must get at least one row, got \[10, 0\] of 10 rows"),
    ],
)
def test_fractions_that_do_not_fit_raise(fractions: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        split(numbered(10), fractions)
