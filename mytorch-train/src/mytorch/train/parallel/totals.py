"""The numbers of a step that processes add up beside their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from ctypes import c_float

import torch
from torch import Tensor

from mytorch.train.errors import SIGNALS
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.processes import Processes, Wishes

PARTS = {torch.float32: 4, torch.float64: 1}
"""So many numbers of a dtype make one of float64: three with its digits and one with its power of two, or itself."""


class Totals:
    """The loss and the weight over all rows, what processes ask for, and which parameters have a gradient somewhere.

    They travel from the moment they are made until `wait`. All processes make them at the same place.

    value, weight: sums over the rows of this process.
    failed: whether this process could not take the step.
    have: for each parameter, whether this process has a gradient.
    device: of the model.
    room: so many numbers as `room_for` says, on the processor. Then they do not travel by themselves: before `wait`,
        the caller adds up this room over the processes, with other numbers of its own. A message takes about as long
        as the gradients of a small model.
    """

    def __init__(
        self,
        processes: Processes,
        value: Tensor | float,
        weight: Weight,
        failed: bool,
        have: Sequence[bool],
        device: torch.device,
        room: Tensor | None = None,
    ) -> None:
        self.processes = processes
        stop, keep, signum = processes.asked
        flags = [failed, stop, keep, *(signum == one for one in SIGNALS), *have]
        self._parameters = len(have)
        self._both: Tensor | None = None
        if device.type == "cpu":
            dtype = torch.float64 if room is None else room.dtype
            numbers = torch.tensor([*_slots((float(value), float(weight)), processes, dtype), *flags], dtype=dtype)
            self._numbers = numbers if room is None else room.copy_(numbers)
            self._works = [processes.add(numbers)] if room is None else []
            return
        widest = torch.float32 if device.type == "mps" else torch.float64
        self._both = torch.stack([torch.as_tensor(each, dtype=widest, device=device) for each in (value, weight)])
        self._numbers = torch.tensor(flags, dtype=torch.int32, device="cpu")
        self._works = [processes.add(self._both), processes.add(self._numbers)]

    def wait(self) -> tuple[Tensor, Weight, bool, list[bool]]:
        """Loss and weight, whether the step failed in one of the processes, and which parameters have a gradient.

        The weight is a number, if it lies on the processor. What the processes ask for is left as their `agreed`.
        """
        for work in self._works:
            self.processes.wait(work)
        numbers = self._numbers.tolist()
        first = len(numbers) - self._parameters
        some_failed, stop, keep, *signals = numbers[first - 3 - len(SIGNALS) : first]
        signum = max(one if count else 0 for one, count in zip(SIGNALS, signals, strict=True))
        self.processes.agreed = Wishes(bool(stop), bool(keep), signum)
        value: Tensor
        weight: Weight  # reckoning with numbers takes less time
        if self._both is None:
            sums = _sums(numbers[: first - 3 - len(SIGNALS)], self.processes.size)
            value, weight = torch.tensor(sums[0], dtype=torch.float64), sums[1]
        else:
            value, weight = self._both.unbind()
        return value, weight, bool(some_failed), list(map(bool, numbers[first:]))


def room_for(parameters: int, processes: int, dtype: torch.dtype) -> int:
    """So many numbers of a dtype are the totals of a step that trains so many parameters."""
    return 2 * PARTS[dtype] * processes + 3 + len(SIGNALS) + parameters


def _slots(both: Iterable[float], processes: Processes, dtype: torch.dtype) -> list[float]:
    """Numbers of float64 as they travel: each process has a place of its own, so that adding up loses nothing."""
    parts = [part for each in both for part in _parts(each, PARTS[dtype])]
    zeros = [0.0] * len(parts)
    return [*zeros * processes.rank, *parts, *zeros * (processes.size - 1 - processes.rank)]


def _parts(number: float, count: int) -> list[float]:
    """A number of float64 as so many of float32: the leading digits of what is left of its fraction, again and again,
    and its power of two, since float32 ends at 3e38 and has few digits below 1e-38. Or the number itself.
    """
    if count == 1:
        return [number]
    left, power = math.frexp(number)  # what is not finite is its own fraction
    parts = []
    for _ in range(count - 1):
        part = c_float(left).value
        parts.append(part)
        left = left - part if math.isfinite(part) else 0.0
    return [*parts, float(power)]


def _joined(parts: Sequence[float]) -> float:
    """The number of these parts."""
    return parts[0] if len(parts) == 1 else math.ldexp(sum(parts[:-1]), int(parts[-1]))


def _sums(slots: Sequence[float], processes: int) -> tuple[float, float]:
    """The sums over all processes of the two numbers of each."""
    size = len(slots) // (2 * processes)
    numbers = [_joined(slots[start : start + size]) for start in range(0, len(slots), size)]
    return sum(numbers[::2]), sum(numbers[1::2])


def mean_of(value: Tensor, weight: Weight, summed: bool) -> Tensor:
    """The loss over all rows, of the sums of all processes; NaN if they count for nothing."""
    if summed:
        return value
    if isinstance(weight, Tensor):
        return torch.where(weight == 0, torch.nan, value / weight)
    return value / weight if weight else torch.full_like(value, torch.nan)
