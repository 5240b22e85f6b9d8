"""The numbers of a step that processes add up beside their gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mytorch.train.errors import SIGNALS
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.processes import Processes, Wishes


class Totals:
    """The loss and the weight over all rows, what processes ask for, and which parameters have a gradient somewhere.

    They travel from the moment they are made until `wait`. All processes make them at the same place.

    value, weight: sums over the rows of this process.
    failed: whether this process could not take the step.
    have: for each parameter, whether this process has a gradient.
    device: of the model.
    """

    def __init__(
        self,
        processes: Processes,
        value: Tensor | float,
        weight: Weight,
        failed: bool,
        have: Sequence[bool],
        device: torch.device,
    ) -> None:
        self.processes = processes
        stop, keep, signum = processes.asked
        flags = [failed, stop, keep, *(signum == one for one in SIGNALS), *have]
        if device.type == "cpu":  # one exchange, which takes the time of a message
            together = torch.tensor([float(value), float(weight), *flags], dtype=torch.float64)
            self._numbers, self._flags = together[:2], together[2:]
            self._works = [processes.add(together)]
            return
        widest = torch.float32 if device.type == "mps" else torch.float64
        both = [torch.as_tensor(each, dtype=widest, device=device) for each in (value, weight)]
        self._numbers, self._flags = torch.stack(both), torch.tensor(flags, dtype=torch.int32, device="cpu")
        self._works = [processes.add(self._numbers), processes.add(self._flags)]

    def wait(self) -> tuple[Tensor, Weight, bool, list[bool]]:
        """Loss and weight, whether the step failed in one of the processes, and which parameters have a gradient.

        The weight is a number, if it lies on the processor. What the processes ask for is left as their `agreed`.
        """
        for work in self._works:
            self.processes.wait(work)
        some_failed, stop, keep, *rest = self._flags.tolist()
        signals, have = rest[: len(SIGNALS)], rest[len(SIGNALS) :]
        signum = max(one if count else 0 for one, count in zip(SIGNALS, signals, strict=True))
        self.processes.agreed = Wishes(bool(stop), bool(keep), signum)
        value, weight = self._numbers.unbind()
        weighed = weight.item() if weight.device.type == "cpu" else weight  # reckoning with numbers takes less time
        return value, weighed, bool(some_failed), list(map(bool, have))


def mean_of(value: Tensor, weight: Weight, summed: bool) -> Tensor:
    """The loss over all rows, of the sums of all processes; NaN if they count for nothing."""
    if summed:
        return value
    if isinstance(weight, Tensor):
        return torch.where(weight == 0, torch.nan, value / weight)
    return value / weight if weight else torch.full_like(value, torch.nan)
