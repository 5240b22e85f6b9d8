"""What goes wrong in a pipeline of processes, one after the other in one group: FOLDER TIMEOUT [WHAT]."""

import os
import signal
import sys
import time
from functools import partial

import torch
from shared_failures import AtBatch, interrupt, stop
from shared_pipelines import noisy, piped
from toy_parts import Chain, Dense, Rectify
from trained_again import again, broken_off, layers

from mytorch.core import Module, MytorchError, Parameter
from mytorch.train import EMA
from mytorch.train.parallel import join

PIPE = {"stages": 2, "micro_batches": 4, "epochs": 2}


class Spoilt(Module):
    """Its weight; the forward or the backward of this number, counted from 1, does something else."""

    def __init__(self, act, forward=0, backward=0):
        self.weight, self.act, self.at = Parameter(torch.ones(2)), act, (forward, backward)
        self.forwards = self.backwards = 0

    def forward(self, x):
        self.forwards += self.training
        y = self.weight.value * x
        return (self.act(y) if self.forwards == self.at[0] and self.training else y), x

    def backward(self, d_y, x):
        self.backwards += 1
        self.weight.accumulate((d_y * x).sum(0))
        d_x = d_y * self.weight.value
        return self.act(d_x) if self.backwards == self.at[1] else d_x


class Exploding(Spoilt):
    """Large for some rows, whenever it is asked, as a search does."""

    def forward(self, x):
        y = self.weight.value * x
        return (y * torch.inf if bool((x.abs() > 0.5).any()) else y), x

    def backward(self, d_y, x):
        self.weight.accumulate((d_y * x).sum(0))
        return d_y * self.weight.value


def fail(*_):
    raise ValueError("a broken row")


def lists(y):
    return [y]


def narrow(y):
    return y[:-1]


def said(*args, **options):
    """What a training gives, or what it raises."""
    try:
        return piped(*args, **{**PIPE, **options})
    except MytorchError as error:
        return f"{type(error).__name__}: {error}"
    except (ValueError, KeyboardInterrupt) as error:
        notes = "; ".join(getattr(error, "__notes__", ()))
        return f"{type(error).__name__}: {error} [{notes}]"


def with_spoilt(stage, act, kind=Spoilt, **at):
    """A net whose layer at the end of the first stage, or the beginning of the second one, does something else."""
    layers = [Dense(2, 2), kind(act, **at)] if stage == 0 else [kind(act, **at), Dense(2, 2)]
    rest = [Dense(2, 2), Rectify()]
    return Chain(*(layers + rest if stage == 0 else rest + layers))


def graceful(processes, folder):
    """What all processes end together, so that they go on with the next."""
    rank, found, halves = processes.rank, {}, {"stages": [2, 2]}
    for stage in (0, 1):
        for at in ({"forward": 1}, {"forward": 7}, {"backward": 1}, {"backward": 8}):
            ((kind, number),) = at.items()
            net = partial(with_spoilt, stage, fail, **at)
            found[f"{kind} {number} of stage {stage}"] = said("plain", processes, net=net, **halves)
        net = partial(with_spoilt, stage, None, Exploding)
        found[f"not finite in stage {stage}"] = said("plain", processes, net=net, lr=0.01, **halves)
    found["a list"] = said("plain", processes, net=lambda: with_spoilt(0, lists, forward=3), **halves)
    found["another shape"] = said("plain", processes, net=lambda: with_spoilt(0, narrow, forward=6), **halves)
    found["a gradient of another shape"] = said(
        "plain", processes, net=lambda: with_spoilt(1, narrow, backward=2), **halves
    )
    found["too many stages"] = said("plain", processes, net=lambda: Chain(Dense(2, 2)))
    found["no Sequential"] = said("plain", processes, net=lambda: Dense(2, 2))
    found["three stages"] = said("plain", processes, stages=3)
    found["other layers"] = said("plain", processes, stages=[3 + rank, 3 - rank])
    found["other micro-batches"] = said("plain", processes, micro_batches=3 + rank)
    found["after all that"] = said("plain", processes)
    found["stopped"] = said("plain", processes, callbacks=[AtBatch(rank, stop)])
    path = f"{folder}/{'checkpoint' if processes.first else 'none'}.safetensors"
    for what, options in {"noise": {"net": noisy}, "average": {"net": noisy}, "tied": {}}.items():
        options |= {"momentum": 0.9, "shuffle": True}
        more = [EMA] if what == "average" else []
        found[what] = said(what, processes, callbacks=[cls(0.5) for cls in more], **options)
        for then, act, kept in (
            ("interrupted", interrupt, {"checkpoint": path}),
            ("resumed", lambda: None, {"resume": path}),
        ):
            callbacks = [AtBatch(rank, act), *(cls(0.5) for cls in more)]
            found[f"{what} {then}"] = said(what, processes, callbacks=callbacks, **kept, **options)
    path = f"{folder}/{'again' if processes.first else 'none'}.safetensors"
    found["again"] = trained_again(processes, path)
    torch.save(found, f"{folder}/{rank}.pt")


def trained_again(processes, path):
    """A second training with the same optimizer, whose state is that of one stage."""
    first = {"stages": [1, 4], "micro_batches": 2}
    without_parameters = {**first, "stages": [5, 1]}
    resume = {"resume": path, "epochs": 2, "accept_differences": True}
    return {
        "the same": again(processes, first, first),
        "none from a checkpoint": again(processes, {**first, "checkpoint": path}, resume),
        "none": again(processes, first, {}),
        "others": again(processes, first, {**first, "stages": [4, 1]}),
        "shard": again(processes, first, {"shard": "optimizer"}),
        "none after an error": again(processes, {**first, **broken_off()}, {}),
        "none after a stage without parameters": again(
            processes, without_parameters, {}, net=lambda: Chain(*layers(), Rectify())
        ),
    }


def main():
    folder, timeout, *what = sys.argv[1:]
    with join(timeout=float(timeout)) as processes:
        if not what:
            graceful(processes, folder)
            return
        acts = {
            "killed": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
            "late": lambda *_: time.sleep(60),
            "ends": lambda *_: sys.exit(7),
        }
        last = processes.rank == processes.size - 1
        stages = 2 if processes.size == 4 else processes.size
        piped("plain", processes, stages=stages, callbacks=[AtLast(acts[what[0]])] if last else [])


class AtLast(AtBatch):
    may_lag = True  # the others do not gather for it

    def __init__(self, act):
        super().__init__(1, act)


if __name__ == "__main__":
    main()
