"""Calling a function in several processes at once, joined as torchrun's are, each of one thread."""

import os
import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from side_by_side import KEEP_FREED_MEMORY, prepare

from mytorch.train.parallel import Processes, join

TIMEOUT = 300.0


def in_processes(count: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """What `function(processes, *args)`, a function of a module, returns in each of so many, by rank.

    One process is joined to nobody: there the first argument is None.
    """
    os.environ.update(KEEP_FREED_MEMORY)  # read by the new processes when they start
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        started = [pool.submit(_joined, rank, count, port, function, args) for rank in range(count)]
        return [each.result() for each in started]


def _joined(rank: int, count: int, port: int, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, OMP_NUM_THREADS="1")
    prepare()
    processes: Processes | None
    with join(timeout=TIMEOUT) as processes:
        return function(processes, *args)
