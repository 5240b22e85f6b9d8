"""Joining the processes that were started together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from torch import distributed

from mytorch.core import ArgumentError
from mytorch.plugins import one_line, shown
from mytorch.train.errors import RankError
from mytorch.train.parallel.answered import GRACE, answered
from mytorch.train.parallel.connect import connect
from mytorch.train.parallel.launched import Place, launched
from mytorch.train.parallel.meeting import meet, prefixed
from mytorch.train.parallel.processes import Processes

TIMEOUT = 600.0
"""Seconds that a process waits for the others, as torch.distributed does with NCCL."""
_NUMBERS = count()
"""Of the groups that this process has joined: every process joins them in the same order."""
_STORES: dict[Place, Any] = {}
"""The store of this process, kept from the first group that it joins: a port is opened once."""


@contextmanager
def join(timeout: float = TIMEOUT) -> Iterator[Processes | None]:
    """Within this context, the processes that torchrun has started are one group; `fit` takes it as `parallel`.

    timeout: so many seconds each waits for the others: at the start, and wherever they exchange numbers.
    Gives None in a process that was started alone, so that the same program trains in one process as well.
    Tensors on the processor are exchanged by gloo, those on a GPU by NCCL; each process of a machine has its own GPU.
    Raises RankError where a process does not come in time, or the port is in use; ArgumentError for a timeout that is
        none, and within another group of torch.distributed.

    Example:
        >>> from mytorch.train.parallel import join
        >>> with join() as processes:  # started without torchrun
        ...     print(processes)
        None
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        raise ArgumentError(f"join: timeout must be a number of seconds above 0, got {shown(timeout)}")
    place = launched()
    if place is None:
        yield None
        return
    if distributed.is_initialized():
        raise ArgumentError(
            "join: there must be no group of torch.distributed yet, got one; let join make it, and use it once"
        )
    patience = timedelta(seconds=timeout)
    if place not in _STORES:
        _STORES[place] = _opened(place, timeout)
    base, number = _STORES[place], next(_NUMBERS)
    base.set_timeout(patience)
    try:
        store = answered(lambda: meet(place, base, f"mytorch/{number}", timeout), timeout + GRACE)
    except TimeoutError as error:
        raise RankError(
            f"join: rank {place.rank} must be able to reach the store at {place.address}:{place.port}, got {error}; "
            "see whether rank 0 runs"
        ) from error
    processes = Processes(place, store, prefixed(f"mytorch/lasting/{number}", base), patience)
    try:
        _connect(place, store, patience, processes)
        with processes.present():
            yield processes
            processes.gather(None)  # none leaves while another still needs the store
    except BaseException as error:
        processes.fail(error)
        raise
    finally:
        if distributed.is_initialized():  # or this process has left it
            distributed.destroy_process_group()


def _connect(place: Place, store: Any, patience: timedelta, processes: Processes) -> None:
    """Let the processes that have met exchange tensors. Raises RankError where that does not work."""
    try:
        connect(place, store, patience)
    except (RuntimeError, TimeoutError) as error:
        if "find address" in str(error):
            processes.fail(error)
            raise RankError(
                f"join: rank {place.rank} must have an address at which others reach it, got {one_line(error)}; set "
                "GLOO_SOCKET_IFNAME to the name of a network interface of this machine, as `ip address` lists them"
            ) from error
        raise processes.lost(error) from error


def _opened(place: Place, timeout: float) -> Any:
    """The store that all processes share: torchrun's, which outlives them, or that of the first process."""
    opens = place.rank == 0 and not place.agent
    patience = timedelta(seconds=timeout)

    def open_store() -> Any:
        return distributed.TCPStore(  # type: ignore[attr-defined]
            place.address, place.port, place.size, opens, timeout=patience, wait_for_workers=False
        )

    try:  # a store waits for the first answer without an end, if somebody else listens at the port
        return answered(open_store, timeout + GRACE)
    except (RuntimeError, TimeoutError) as error:
        what = "open" if opens else "reach"
        told = str(error).partition("\n")[0]
        raise RankError(
            f"join: rank {place.rank} must be able to {what} the store at {place.address}:{place.port}, got "
            f"{told}; choose another port with --master-port, or see whether rank 0 runs"
        ) from error
