"""Trainings that several processes take together and one process takes alone; run as a script: FOLDER CASE..."""

import sys
from contextlib import nullcontext
from unittest.mock import patch

import torch
from toy_parts import SGD, Dense, Points, SquaredError, encoded, network

from mytorch.core import Module, Parameter
from mytorch.train import MeanAbsoluteError, fit
from mytorch.train.parallel import join, reducer

ROWS = 53


class Counted(SquaredError):
    """Rows with a target of 1 in the first column count three times, those of the first four kinds of rows nothing."""

    def forward(self, prediction, target):
        weights = self.weights(target)
        difference = prediction - target
        return (weights * difference.square()).sum() / weights.sum(), (difference, weights)

    def backward(self, d_loss, saved):
        difference, weights = saved
        total = weights.sum()
        return 2 * d_loss * weights * difference / (total if total else 1)

    def weights(self, target):
        return torch.where(target[:, :1] == 1, 3.0, (target[:, 1:] > 1).double())

    def weight_of(self, prediction, target):
        return self.weights(target).sum()


class Twice(Module):
    """One layer, used twice, and a parameter that gets no gradient."""

    def __init__(self):
        self.inner, self.idle = Dense(2, 2), Parameter(torch.ones(3))

    def forward(self, x):
        y, first = self.inner.forward(x)
        z, second = self.inner.forward(y)
        return z, (first, second)

    def backward(self, d_z, saved):
        return self.inner.backward(self.inner.backward(d_z, saved[1]), saved[0])


IN_SEVERAL = {"FIRST_BYTES": 20, "BYTES": 20, "ALONE_BYTES": 60}
"""Small gradients then travel by twos or threes, and large ones alone."""
PLAIN = {"batch_size": 8, "epochs": 3}
CASES = {
    "plain": {"epochs": 8},
    "momentum": {"momentum": 0.9},
    "clipped": {"clip_grad_norm": 0.05},
    "clipped by value": {"clip_grad_value": 0.01},
    "accumulated": {"accumulate": 3, "epochs": 6},
    "accumulated one by one": {"accumulate": 5, "batch_size": 1, "epochs": 5},
    "one row a step": {"batch_size": 1, "epochs": 1},
    "as many rows as a process": {"batch_size": 2, "epochs": 2},
    "three rows": {"batch_size": 3, "epochs": 3},
    "summed": {"loss": lambda: SquaredError("sum"), "lr": 0.01},
    "counted": {"loss": Counted, "batch_size": 4, "epochs": 4},
    "shared layer": {"net": Twice, "lr": 0.02},
    "shuffled": {"shuffle": True, "seed": 3},
    "dropped": {"drop_last": True},
    "in several buckets": {"momentum": 0.9, "buckets": IN_SEVERAL},
    "in several buckets, accumulated": {"accumulate": 3, "batch_size": 1, "epochs": 2, "buckets": IN_SEVERAL},
    "in several buckets, shared layer": {"net": Twice, "lr": 0.02, "buckets": IN_SEVERAL},
}
MIXED = {"batch_size": 4, "dtype": "float32", "precision": "bfloat16-mixed"}
IN_HALF = {
    "mixed precision": MIXED,
    "mixed precision, in several buckets": {**MIXED, "buckets": {**IN_SEVERAL, "ALONE_BYTES": 30}},
}
"""The last batch has one row, so that the second of two processes has none."""


def take(case, parallel=None, **more):
    """Train; the weights and the history, without times."""
    options = {"shuffle": False, **PLAIN, **(CASES | IN_HALF).get(case, {}), **more}
    buckets = options.pop("buckets", None)
    with nullcontext() if buckets is None else patch.multiple(reducer, **buckets):
        return _take(parallel, options)


def _take(parallel, options):
    torch.manual_seed(7)
    net, loss = options.pop("net", network)(), options.pop("loss", SquaredError)()
    dtype = options.pop("dtype", "float64")
    net.to(getattr(torch, dtype))
    if parallel is not None and not parallel.first:
        for parameter in net.param():
            parameter.value.mul_(2)  # the first process decides
    kind = options.pop("optimizer", SGD)
    optimizer = kind(net.param(), lr=options.pop("lr", 0.1), momentum=options.pop("momentum", 0.0))
    data, validation = (encoded(Points(rows, seed=rows, dtype=dtype)) for rows in (ROWS, 21))
    schedule = options.pop("schedule", None)
    training = fit(
        net,
        loss,
        optimizer,
        data,
        validation=validation,
        test=validation,
        metrics=[MeanAbsoluteError()],
        quiet=True,
        parallel=parallel,
        schedule=None if schedule is None else schedule(optimizer),
        **options,
    )
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in training.history]
    return {
        "weights": {name: parameter.value for name, parameter in net.named_param()},
        "history": history,
        "test": training.test_results,
        "kept": sum(held.numel() for state in optimizer.state.values() for held in state.values()),
    }


def main():
    folder, *cases = sys.argv[1:]
    with join(timeout=60) as processes:
        found = {case: take(case, processes) for case in cases}
        torch.save(found, f"{folder}/{processes.rank}.pt")


if __name__ == "__main__":
    main()
