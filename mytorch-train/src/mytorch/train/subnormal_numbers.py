"""Numbers so small that a processor computes with them a hundred times more slowly count as 0 in a training step.

A subnormal number is one below 1.2e-38 in float32, or 2.2e-308 in float64, that is not 0. Training makes many: the
momentum of a unit whose gradient is 0 shrinks with each step and never gets to 0, and so do the probabilities that a
confident classifier gives to other classes.
"""

from __future__ import annotations

import functools
import sys

import torch


class SubnormalNumbersAsZero:
    """Within this context, the calling thread takes subnormal numbers for 0, where the processor can.

    It leaves the threads alone among which torch divides its work: there are some before the first context, and which
    parts of a tensor are theirs depends on its size alone, so that a run repeats itself.
    """

    def __init__(self) -> None:
        _start_threads(torch.get_num_threads())
        self._wanted = False

    def __enter__(self) -> None:
        self._wanted = sys.float_info.min * 0.5 != 0  # and nobody has asked for it before
        if self._wanted:
            torch.set_flush_denormal(True)

    def __exit__(self, *error: object) -> None:
        if self._wanted:
            torch.set_flush_denormal(False)


@functools.cache
def _start_threads(count: int) -> None:
    """Let torch start its threads, which take over this setting from the thread that starts them."""
    torch.empty(count * 2**16, device="cpu").fill_(0)
