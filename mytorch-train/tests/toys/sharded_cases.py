"""Trainings in which several processes divide something, and which one process takes alone: FOLDER CASE..."""

import sys
from contextlib import suppress
from unittest.mock import patch

import torch
from shared_cases import Counted, Twice, take
from shared_failures import AtBatch, AtEnd, Exploding, Spoilt, fail, interrupt, noisy, said
from toy_parts import Chain, Dense, StepLR, network
from trained_again import InOnePiece, again, last_first, transposed, with_tied_loss

from mytorch.core import ArgumentError, Module, Parameter
from mytorch.train import EMA, SWA, KeepBest, RankError
from mytorch.train.parallel import join, pieces
from mytorch.train.parallel.shards import Shards

LEVELS = ("optimizer", "gradients", "parameters")


class Reader(Module):
    """Reads the weight of a layer that it holds, as attention does, beside one of its own."""

    def __init__(self):
        self.scale, self.inner = Parameter(torch.ones(2)), Dense(2, 2)

    def forward(self, x):
        z = x @ self.inner.weight.value.T
        return z * self.scale.value, (x, z)

    def backward(self, d_y, saved):
        x, z = saved
        self.scale.accumulate((d_y * z).sum(0))
        d_z = d_y * self.scale.value
        self.inner.weight.accumulate(d_z.T @ x)
        return d_z @ self.inner.weight.value


class Skipping(Module):
    """Holds a layer that it leaves out in its third step."""

    def __init__(self):
        self.always, self.inner, self.seen = Dense(2, 2), Dense(2, 2), 0

    def forward(self, x):
        self.seen += self.training
        y, saved = self.always.forward(x)
        return (y, (saved, None)) if self.seen == 3 else _then(self.inner, y, saved)

    def backward(self, d_y, saved):
        first, second = saved
        return self.always.backward(d_y if second is None else self.inner.backward(d_y, second), first)


def _then(layer, y, saved):
    z, second = layer.forward(y)
    return z, (saved, second)


def partly_frozen():
    net = network()
    net.param()[0].trainable = False
    return net


MOMENTUM = {"momentum": 0.9, "lr": 0.02}
CASES = {
    "momentum": {**MOMENTUM, "epochs": 8},
    "in one piece": {**MOMENTUM, "epochs": 8, "optimizer": InOnePiece},
    "clipped": {**MOMENTUM, "clip_grad_norm": 0.05},
    "clipped in one piece": {**MOMENTUM, "clip_grad_norm": 0.05, "optimizer": InOnePiece},
    "clipped by value": {**MOMENTUM, "clip_grad_value": 0.01},
    "accumulated": {**MOMENTUM, "accumulate": 3, "epochs": 6},
    "accumulated one by one": {**MOMENTUM, "accumulate": 5, "batch_size": 1, "epochs": 5},
    "one row a step": {**MOMENTUM, "batch_size": 1, "epochs": 1},
    "counted": {**MOMENTUM, "loss": Counted, "batch_size": 4, "epochs": 4},
    "shared layer": {**MOMENTUM, "net": Twice},
    "reading": {**MOMENTUM, "net": Reader},
    "partly frozen": {**MOMENTUM, "net": partly_frozen},
    "left out": {**MOMENTUM, "net": Skipping},
    "scheduled": {**MOMENTUM, "schedule": lambda optimizer: StepLR(optimizer, 1)},
    "moving average": {**MOMENTUM, "callbacks": lambda: [EMA(0.9)]},
    "average": {**MOMENTUM, "callbacks": lambda: [SWA(0.5)]},
    "best": {**MOMENTUM, "lr": 0.1, "callbacks": lambda: [KeepBest()]},
}
SMALL = ("one row a step", "accumulated one by one", "counted", "shared layer", "partly frozen")
"""Cases of which each parameter is a bucket, too, so that some buckets travel before others are full."""
CASES |= {f"{case}, in small buckets": {**CASES[case], "bytes": 1} for case in SMALL}
HALF = {"bfloat16-mixed": 1e-6, "float16-mixed": 1e-6, "bfloat16": 1e-2}
"""How far numbers may differ, of which several are added up in another order."""


def divided(case, parallel=None, shard=None, **more):
    """Train."""
    options = {**CASES[case], **more}
    callbacks = options.pop("callbacks", list)
    with patch.object(pieces, "BYTES", options.pop("bytes", pieces.BYTES)):
        return take(case, parallel, shard=shard, callbacks=[*callbacks()], **options)


def kept(*args):
    """What a training gives, or what it raises."""
    try:
        return divided(*args)
    except ArgumentError as error:
        return str(error)


def precisely(name, processes, shard=None, **more):
    """Train in half precision."""
    return take("momentum", processes, shard=shard, dtype="float32", precision=name, **MOMENTUM, **more)


def broken(act, kind=Spoilt):
    return lambda: Chain(kind(act), Dense(2, 2))


def failures(processes, shard, folder):
    """What ends a training of each level, and how it goes on."""
    rank, found = processes.rank, {}
    options = {"shard": shard, **MOMENTUM}
    found["fails"] = said("plain", processes, net=broken(fail), **options)
    found["not finite"] = said("plain", processes, net=broken(None, Exploding), **options)
    found["other level"] = said("plain", processes, shard=shard if rank else None)
    path = f"{folder}/{shard}-{'first' if processes.first else 'none'}.safetensors"
    found["whole run"] = said("plain", processes, net=noisy, **options)
    stop = [AtBatch(rank, interrupt)]
    found["interrupted"] = said("plain", processes, net=noisy, checkpoint=path, callbacks=stop, **options)
    found["resumed"] = said(
        "plain", processes, net=noisy, resume=path, callbacks=[AtBatch(rank, lambda: None)], **options
    )
    at = f"{folder}/{shard}-{'at' if processes.first else 'none'}.safetensors"
    said("plain", processes, checkpoint=at, callbacks=[AtBatch(rank, interrupt)], **options)
    return found


TIED = {"net": with_tied_loss, "tied": True}


def trained_again(processes, folder):
    """A second training with the same optimizer."""
    path = f"{folder}/{'again' if processes.first else 'none'}.safetensors"
    found = {}
    for level in LEVELS:
        found[f"{level}, transposed"] = again(processes, *[{"shard": level}] * 2, net=transposed)
        found[f"{level}, tied to the loss"] = again(processes, {"shard": level}, **TIED)
        found[f"{level}, then none"] = again(processes, {"shard": level}, {})
        resume = {"resume": path, "epochs": 2, "accept_differences": True}
        found[f"{level}, then none from a checkpoint"] = again(processes, {"shard": level, "checkpoint": path}, resume)
    in_groups = {"optimizer": InOnePiece, "groups": last_first}
    found["other owners"] = again(processes, {"shard": "optimizer"}, {"shard": "parameters"}, **in_groups)
    found["same owners"] = again(processes, *[{"shard": "optimizer"}] * 2, **in_groups)
    one = {"optimizer": InOnePiece, "net": lambda: Dense(2, 2, bias=False)}
    found["one parameter"] = again(processes, {"shard": "optimizer"}, {}, **one)
    return found


def lost(processes, folder):
    """What a process has of the weights when another one leaves while they are made whole for the last time."""
    regain, ended, net = Shards.regain, [], network()

    def leaving(shards):
        if ended:
            processes.leave(ValueError("gone"))
        regain(shards)

    Shards.regain = leaving
    callbacks = [AtEnd(processes.rank, lambda: ended.append(True))]
    text = said("plain", processes, net=lambda: net, shard="parameters", epochs=2, callbacks=callbacks)
    path = f"{folder}/{processes.rank}.pt"
    weights = {name: parameter.value for name, parameter in net.named_param()}
    torch.save(torch.load(path) | {"lost": {"said": text, "weights": weights}}, path)


def main():
    folder, *cases = sys.argv[1:]
    with join(timeout=60) as processes:
        found = {(level, case): kept(case, processes, level) for case in cases for level in LEVELS}
        if processes.size == 2:
            for name in HALF:
                found[None, name] = precisely(name, processes)
                found |= {(level, name): precisely(name, processes, level) for level in LEVELS}
            found |= {(level, "failures"): failures(processes, level, folder) for level in LEVELS}
            found["again"] = trained_again(processes, folder)
        torch.save(found, f"{folder}/{processes.rank}.pt")
        several = processes.size
    if several == 2:
        with suppress(RankError), join(timeout=20) as processes:  # which says that one has left
            lost(processes, folder)


if __name__ == "__main__":
    main()
