"""Letting processes that have met exchange tensors."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import torch
from torch import distributed

from mytorch.train.parallel.answered import GRACE, answered
from mytorch.train.parallel.launched import Place


def connect(place: Place, store: Any, patience: timedelta) -> None:
    """Make the group of torch.distributed, of the processes that have this store.

    Raises RuntimeError or TimeoutError where that does not work.
    """
    group = {"store": store, "rank": place.rank, "world_size": place.size, "timeout": patience}
    begin = partial(distributed.init_process_group, _backend(place), **group)
    answered(begin, patience.total_seconds() + GRACE)


def _backend(place: Place) -> str:
    if not (torch.cuda.is_available() and distributed.is_nccl_available()):
        return "gloo"
    if place.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(place.local_rank)
    return "cpu:gloo,cuda:nccl"
