import math
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError
from mytorch.data import Disk


def test_points_lie_in_the_square_and_classes_follow_the_circle() -> None:
    data = Disk(2000, seed=3, dtype="float64")
    assert data.inputs.shape == (2000, 2)
    assert data.inputs.min() >= 0
    assert data.inputs.max() < 1
    assert data.targets.dtype is torch.int64
    distance = (data.inputs - 0.5).norm(dim=1)
    torch.testing.assert_close(data.targets, (distance < 1 / math.sqrt(2 * math.pi)).long())
    assert (data.columns, data.classes) == (("x", "y"), ("outside", "inside"))


def test_the_classes_balance() -> None:
    share = Disk(100_000).targets.double().mean().item()
    assert abs(share - 0.5) < 5 * math.sqrt(0.25 / 100_000)


def test_a_seed_decides_the_points_and_the_dtype_does_not() -> None:
    exact = Disk(500, seed=7, dtype=torch.float64)
    for dtype in ("float32", torch.float32, "float16", "bfloat16"):
        data = Disk(500, seed=7, dtype=dtype)
        torch.testing.assert_close(data.inputs, exact.inputs.to(data.inputs.dtype), rtol=0, atol=0)
        torch.testing.assert_close(data.targets, exact.targets)
    assert Disk(500).inputs.dtype is torch.float32
    assert not torch.equal(Disk(500, seed=8).inputs, Disk(500, seed=7).inputs)


def test_torchs_own_random_stream_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Disk(100)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_the_boundary_is_the_circle() -> None:
    curve = Disk(1).boundary(50)
    torch.testing.assert_close((curve - 0.5).norm(dim=1), torch.full((50,), Disk.radius, dtype=torch.float64))
    torch.testing.assert_close(curve[0], curve[-1])


def test_works_with_a_dataloader() -> None:
    batches = list(DataLoader(Disk(10), batch_size=4))
    assert [tuple(inputs.shape) for inputs, _ in batches] == [(4, 2), (4, 2), (2, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "Disk: samples must be a whole number of at least 1, got 0"),
        ({"samples": 2.5}, r"Disk: samples must be a whole number of at least 1, got 2\.5"),
        ({"seed": -1}, r"Disk: seed must be a whole number from 0 to 2\*\*63 - 1, got -1"),
        ({"dtype": "int64"}, "Disk: dtype must be one of float32, float64, float16, bfloat16, got 'int64'"),
        ({"dtype": torch.int32}, "Disk: dtype must be one of .* got 'int32'"),
    ],
)
def test_arguments_outside_their_range_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Disk(**arguments)
