"""What goes wrong where several processes train together, one after the other in one group: FOLDER [WHAT]."""

import os
import signal
import sys
import time

import torch
from shared_cases import Counted, take
from toy_parts import Chain, Dense, Noise, Rectify

from mytorch.core import Module, MytorchError, Parameter
from mytorch.plugins import Callback, StopTraining
from mytorch.train.parallel import join


class AtBatch(Callback):
    """Does something after a batch of the second epoch, in the process of rank 1 alone."""

    must_succeed = True

    def __init__(self, rank, act, at=3):
        self.rank, self.act, self.at = rank, act, at

    def batch_ended(self, epoch, batch):
        if self.rank == 1 and (epoch, batch) == (2, self.at):
            self.act()


class Spoilt(Module):
    """Its weight, of one process, lets the third forward fail or give infinity."""

    def __init__(self, rank, act):
        self.weight, self.rank, self.act, self.seen = Parameter(torch.ones(2)), rank, act, 0

    def forward(self, x):
        self.seen += self.training
        y = self.weight.value * x
        return (self.act(y) if self.rank == 1 and self.seen == 3 else y), x

    def backward(self, d_y, x):
        self.weight.accumulate((d_y * x).sum(0))
        return d_y * self.weight.value


class Exploding(Spoilt):
    """The same whenever it is asked, as a search does."""

    def forward(self, x):
        y = self.weight.value * x
        large = self.rank == 1 and bool((x[:, 0] > 1.5).any())
        return (y * torch.inf if large else y), x


def stop():
    raise StopTraining("enough")


def fail(*_):
    raise ValueError("a broken row")


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


def said(what, *args, **options):
    """What a training says, or what it raises."""
    try:
        return take(what, *args, **options)
    except MytorchError as error:
        return f"{type(error).__name__}: {error}"
    except (ValueError, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"


def noisy(**_):
    return Chain(Dense(2, 4), Noise(), Rectify(), Dense(4, 2))


def graceful(processes, folder):
    """What all processes end together, so that they go on with the next."""
    rank, found = processes.rank, {}
    found["other batch size"] = said("plain", processes, batch_size=8 + rank)
    found["other loss"] = said("plain", processes, loss=Counted) if rank else said("plain", processes)
    found["a layer fails"] = said("plain", processes, net=lambda: Chain(Spoilt(rank, fail), Dense(2, 2)))
    found["not finite"] = said("plain", processes, net=lambda: Chain(Exploding(rank, None), Dense(2, 2)))
    found["stopped"] = said("plain", processes, callbacks=[AtBatch(rank, stop)])
    found["stopped at the end"] = said("plain", processes, callbacks=[AtBatch(rank, stop, 7)])
    path = f"{folder}/{'checkpoint' if processes.first else 'none'}.safetensors"
    found["noise"] = said("plain", processes, net=noisy)
    found["interrupted"] = said("plain", processes, net=noisy, checkpoint=path, callbacks=[AtBatch(rank, interrupt)])
    found["resumed"] = said("plain", processes, net=noisy, resume=path, callbacks=[AtBatch(rank, lambda: None)])
    torch.save(found, f"{folder}/{rank}.pt")


def main():
    folder, what = sys.argv[1:3]
    with join(timeout=float(sys.argv[3])) as processes:
        if what == "graceful":
            graceful(processes, folder)
            return
        acts = {
            "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
            "late": lambda: time.sleep(60),
            "ends": lambda: sys.exit(7),
        }
        take("plain", processes, callbacks=[AtBatch(processes.rank, acts[what])])


if __name__ == "__main__":
    main()
