"""Processes that cannot begin to exchange numbers, or one of them cannot go on: TIMEOUT WHAT."""

import importlib
import os
import signal
import sys

import torch
from torch import distributed

from mytorch.train.parallel import join

joining = importlib.import_module("mytorch.train.parallel.join")  # the name in the package is the function
RANK = int(os.environ["RANK"])


def another_size():
    os.environ["WORLD_SIZE"] = str(2 + RANK)


def twice():
    os.environ["RANK"] = str(min(RANK, 1))


def no_interface():
    os.environ["GLOO_SOCKET_IFNAME"] = "none77"


def killed():
    """The second process is killed when all have met."""
    meet = joining.meet

    def met(*args):
        store = meet(*args)
        if RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return store

    joining.meet = met


def no_memory():
    """The second process has none left for what it is to exchange."""
    if RANK == 1:
        distributed.all_gather_object = lambda *_: torch.empty(2**50)


if __name__ == "__main__":
    {each.__name__: each for each in (another_size, twice, no_interface, killed, no_memory)}[sys.argv[2]]()
    with join(timeout=float(sys.argv[1])) as processes:
        processes.gather(None)
