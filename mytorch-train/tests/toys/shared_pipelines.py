"""Trainings by a pipeline of processes, and by one process alone; run as a script: FOLDER CASE..."""

import sys

import torch
from shared_cases import Counted, take
from toy_parts import Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import Module
from mytorch.train import EMA, SWA
from mytorch.train.parallel import join


class Apart(Module):
    """(x, the signs of x as whole numbers, 3 x): several outputs, of which one has no gradient."""

    def forward(self, x):
        return (x, x.sign().long(), 3 * x), None

    def backward(self, d_y, _saved):
        first, none, second = d_y
        assert none is None
        return first if second is None else first + 3 * second


class Again(Module):
    """Takes what Apart gives: the sum of the numbers where x is positive."""

    def forward(self, values):
        x, signs, y = values
        mask = (signs > 0).to(x.dtype)
        return (x + y) * mask, mask

    def backward(self, d_z, mask):
        return d_z * mask, None, d_z * mask


class Forgets(Module):
    """Gives the gradient of its first input alone."""

    def forward(self, values):
        return values[0], None

    def backward(self, d_y, _saved):
        return d_y, None, None


def deep():
    return Chain(Dense(2, 4), Rectify(), Dense(4, 5), Rectify(), Dense(5, 3), Dense(3, 2))


def tied():
    """A layer in two stages."""
    inner = Dense(2, 2)
    return Chain(inner, Rectify(), Dense(2, 2), inner)


def several():
    return Chain(Dense(2, 4), Apart(), Again(), Dense(4, 4), Apart(), Forgets(), Dense(4, 2))


def noisy():
    return Chain(Dense(2, 4), Noise(), Dense(4, 4), Rectify(), Noise(), Dense(4, 2))


CASES = {
    "plain": {"epochs": 8, "stages": 2, "micro_batches": 4},
    "momentum": {"momentum": 0.9, "stages": 2, "micro_batches": 2},
    "clipped": {"clip_grad_norm": 0.05, "stages": 2, "micro_batches": 3},
    "clipped by value": {"clip_grad_value": 0.01, "stages": 2, "micro_batches": 3},
    "accumulated": {"accumulate": 3, "epochs": 2, "stages": 2, "micro_batches": 2},
    "one row a step": {"batch_size": 1, "stages": 2},
    "summed": {"loss": lambda: SquaredError("sum"), "lr": 0.01, "stages": 2, "micro_batches": 3},
    "counted": {"loss": Counted, "batch_size": 6, "stages": 2, "micro_batches": 4},
    "tied": {"net": tied, "lr": 0.02, "stages": [2, 2], "micro_batches": 3},
    "tied and clipped": {"net": tied, "lr": 0.02, "stages": [2, 2], "clip_grad_norm": 0.05, "micro_batches": 3},
    "a tuple": {"net": several, "lr": 0.02, "stages": [2, 5], "micro_batches": 3},
    "a tuple of which much is not used": {"net": several, "lr": 0.02, "stages": [5, 2], "micro_batches": 3},
    "no parameters in a stage": {"net": deep, "stages": [5, 1], "micro_batches": 2},
    "nothing to train in the first stage": {
        "net": lambda: Chain(Rectify(), *deep().layers),
        "stages": [1, 6],
        "micro_batches": 2,
    },
    "shuffled": {"shuffle": True, "seed": 3, "stages": 2, "micro_batches": 8},
    "moving average": {"epochs": 2, "stages": 2, "micro_batches": 2, "callbacks": lambda: [EMA(0.9)]},
    "average of epochs": {"epochs": 3, "stages": 2, "micro_batches": 2, "callbacks": lambda: [SWA(0.5)]},
}
CASES |= {f"{name} of four": {**CASES[name]} for name in ("plain", "tied and clipped", "one row a step", "counted")}
CASES |= {"four stages": {"stages": 4, "micro_batches": 5}, "four stages of few rows": {"stages": 4, "batch_size": 3}}


def piped(case, parallel=None, **more):
    """Train; the weights and the history, without times."""
    options = {"net": deep, "epochs": 1, **CASES.get(case, {}), **more}
    callbacks = options.pop("callbacks", list)
    return take(case, parallel, callbacks=callbacks() if callable(callbacks) else callbacks, **options)


def main():
    folder, *cases = sys.argv[1:]
    with join(timeout=60) as processes:
        found = {case: piped(case, processes) for case in cases}
        torch.save(found, f"{folder}/{processes.rank}.pt")


if __name__ == "__main__":
    main()
