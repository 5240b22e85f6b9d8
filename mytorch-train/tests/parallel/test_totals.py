"""The numbers of a step that processes add up beside their gradients."""

import math
import random
from types import SimpleNamespace

import pytest
import torch

from mytorch.train.parallel.processes import Wishes
from mytorch.train.parallel.totals import Totals, room_for

CPU = torch.device("cpu")
SIZE = 5


def added_up(dtype, numbers, told=None):
    """What each process has when the rooms that all have filled were added up, of a value and a weight of each."""
    told = told or [{} for _ in numbers]
    processes = [
        SimpleNamespace(rank=rank, size=len(numbers), asked=each.get("asked", Wishes()))
        for rank, each in enumerate(told)
    ]
    rooms = [torch.full((room_for(2, len(numbers), dtype),), math.nan, dtype=dtype) for _ in numbers]
    totals = [
        Totals(
            process,
            torch.tensor(value, dtype=torch.float64),
            weight,
            each.get("failed", False),
            each.get("have", (0, 0)),
            CPU,
            room,
        )
        for process, (value, weight), each, room in zip(processes, numbers, told, rooms, strict=True)
    ]
    joint = torch.stack(rooms).sum(0)
    for room in rooms:
        room.copy_(joint)
    return [each.wait() for each in totals], processes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_in_single_precision_are_those_in_double_precision_to_the_bit(dtype):
    draw = random.Random(3)
    for _ in range(20):
        numbers = [(draw.gauss(0, 10 ** draw.uniform(-6, 9)), draw.choice([0.3, 2**30 + 1])) for _ in range(SIZE)]
        for value, weight, failed, have in added_up(dtype, numbers)[0]:
            assert value.dtype is torch.float64
            assert value.item() == sum(each for each, _ in numbers)
            assert weight == sum(float(each) for _, each in numbers)  # Python adds whole numbers in another way
            assert (failed, have) == (False, [False, False])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_beyond_single_precision_arrive_to_the_bit(dtype):
    draw = random.Random(4)
    for power in (-322, -310, -150, -44, -39, 39, 150, 306):
        number = draw.choice([-1, 1]) * draw.uniform(1, 10) * 10.0**power
        for value, weight, *_ in added_up(dtype, [(0.0, 0.0), (number, abs(number) / 3), (0.0, 0.0)])[0]:
            assert value.item() == number
            assert weight == abs(number) / 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_one_process_asks_for_reaches_all(dtype):
    told = [{}, {"failed": True, "have": (0, 1)}, {"asked": Wishes(True, False, 15)}]
    found, processes = added_up(dtype, [(1.0, 1)] * 3, told)
    assert [(failed, have) for _, _, failed, have in found] == [(True, [False, True])] * 3
    assert [process.agreed for process in processes] == [Wishes(True, False, 15)] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_loss_that_is_not_finite_stays_so(dtype, value):
    for total, weight, *_ in added_up(dtype, [(1.0, 2), (value, 3)])[0]:
        assert str(total.item()) == str(value)
        assert weight == 5
