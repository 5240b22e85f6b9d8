"""What goes wrong where several processes train together, one after the other in one group: FOLDER [WHAT]."""

import os
import signal
import sys
import time
from contextlib import suppress

import torch
from shared_cases import Counted, take
from torch import distributed
from toy_parts import Chain, Dense, Noise, Rectify

from mytorch.core import Module, MytorchError, Parameter
from mytorch.plugins import Callback, StopTraining
from mytorch.train import RankError
from mytorch.train.parallel import join
from mytorch.train.training import Training


class AtBatch(Callback):
    """Does something after a batch of the second epoch, in the process of rank 1 alone."""

    must_succeed = True

    def __init__(self, rank, act, at=3):
        self.rank, self.act, self.at = rank, act, at

    def batch_ended(self, epoch, batch):
        if self.rank == 1 and (epoch, batch) == (2, self.at):
            self.act()


class AtEnd(AtBatch):
    """Does something in the last evaluation."""

    def batch_ended(self):
        pass

    def epoch_ended(self, epoch):
        if self.rank == 1 and epoch == 2:
            self.act()


class InEvent(Callback):
    """Stops the training in one event of the first epoch, in the process of rank 1 alone."""

    must_succeed = True

    def __init__(self, rank, event):
        self.stops = {event} if rank == 1 else set()

    def _come(self, event):
        if event in self.stops:
            raise StopTraining("enough")

    def training_started(self):
        self._come("training_started")

    def epoch_trained(self):
        self._come("epoch_trained")

    def epoch_ended(self):
        self._come("epoch_ended")


class Drawing(Noise):
    """Keeps what it adds to the first batch."""

    first = None

    def forward(self, x):
        y, saved = super().forward(x)
        self.first = (y - x).clone() if self.training and self.first is None else self.first
        return y, saved


class Spoilt(Module):
    """Its weight, of one process, lets the third forward fail or give infinity."""

    def __init__(self, act=None):
        self.weight, self.act, self.seen = Parameter(torch.ones(2)), act, 0
        self.rank = int(os.environ["RANK"])

    def forward(self, x):
        self.seen += self.training
        y = self.weight.value * x
        return (self.act(y) if self.rank == 1 and self.seen == 3 else y), x

    def backward(self, d_y, x):
        self.weight.accumulate((d_y * x).sum(0))
        return d_y * self.weight.value


class Asking(Spoilt):
    """It waits for all processes in each forward, as SyncBatchNorm does, and fails in one of them before."""

    asks_processes = True

    def forward(self, x):
        y, saved = super().forward(x)
        distributed.all_reduce(torch.zeros(2))
        return y, saved


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


def left(processes):
    """What a process raises where the other one ends instead of a training."""
    if processes.rank:
        processes.gather(None)  # as `join` does at its end
        return None
    return said("plain", processes)


def frozen():
    net = Chain(Dense(2, 4), Rectify(), Dense(4, 2))
    for parameter in net.param():
        parameter.trainable = False
    return net


def drawn(processes):
    """The noise on the first batch in this process."""
    layer = Drawing()
    take("plain", processes, net=lambda: Chain(Dense(2, 4), layer, Dense(4, 2)), epochs=1)
    return layer.first


def kept(processes, path):
    """When a checkpoint was written, of which one is due every 0.2 seconds."""
    times, write = [], Training._write

    def noted(self, *args, **options):
        times.append(time.monotonic())
        write(self, *args, **options)

    class Slow(Callback):
        must_succeed = True

        def batch_ended(self):
            time.sleep(0.05)

    Training._write = noted
    try:
        take("plain", processes, checkpoint=path, checkpoint_every=0.2, callbacks=[Slow()])
    finally:
        Training._write = write
    return times


def graceful(processes, folder):
    """What all processes end together, so that they go on with the next."""
    rank, found = processes.rank, {}
    found["other batch size"] = said("plain", processes, batch_size=8 + rank)
    found["other loss"] = said("plain", processes, loss=Counted) if rank else said("plain", processes)
    found["other rate"] = said("plain", processes, lr=0.1 + rank)
    found["other time"] = said("plain", processes, checkpoint=f"{folder}/none.safetensors", checkpoint_every=-1)
    found["left"] = left(processes)
    found["other size"] = said("plain", processes, net=lambda: Chain(Dense(2, 3 + rank), Dense(3 + rank, 2)))
    found["a layer fails"] = said("plain", processes, net=lambda: Chain(Spoilt(fail), Dense(2, 2)))
    found["not finite"] = said("plain", processes, net=lambda: Chain(Exploding(), Dense(2, 2)))
    found["stopped"] = said("plain", processes, callbacks=[AtBatch(rank, stop)])
    found["stopped at the end"] = said("plain", processes, callbacks=[AtBatch(rank, stop, 7)])
    for event in ("training_started", "epoch_trained", "epoch_ended"):
        found[f"stopped in {event}"] = said("plain", processes, callbacks=[InEvent(rank, event)], evaluate_every=5)
    found["both interrupted"] = said("plain", processes, callbacks=[AtBatch(1, interrupt)])
    found["interrupted at the end"] = said("plain", processes, epochs=2, callbacks=[AtEnd(rank, interrupt)])
    found["nothing is trained"] = said("plain", processes, net=frozen)
    found["drawn"] = drawn(processes)
    found["kept"] = kept(processes, f"{folder}/{'often' if processes.first else 'none'}.safetensors")
    path = f"{folder}/{'checkpoint' if processes.first else 'none'}.safetensors"
    found["noise"] = said("plain", processes, net=noisy)
    found["interrupted"] = said("plain", processes, net=noisy, checkpoint=path, callbacks=[AtBatch(rank, interrupt)])
    found["resumed"] = said("plain", processes, net=noisy, resume=path, callbacks=[AtBatch(rank, lambda: None)])
    torch.save(found, f"{folder}/{rank}.pt")


def asking(processes, folder):
    """A layer that asks all fails in one process, which then cannot go on with the others."""
    net = lambda: Chain(Asking(fail), Dense(2, 2))  # noqa: E731
    found = {what: said("plain", processes, net=net) for what in ("asking", "asking again")}
    torch.save(torch.load(f"{folder}/{processes.rank}.pt") | found, f"{folder}/{processes.rank}.pt")


def main():
    folder, what = sys.argv[1:3]
    with join(timeout=float(sys.argv[3])) as processes:
        if what == "graceful":
            graceful(processes, folder)
        else:
            acts = {
                "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
                "late": lambda: time.sleep(60),
                "ends": lambda: sys.exit(7),
            }
            take("plain", processes, callbacks=[AtBatch(processes.rank, acts[what])])
    with suppress(RankError), join(timeout=float(sys.argv[3])) as processes:  # which says that one has left
        asking(processes, folder)


if __name__ == "__main__":
    main()
