"""Trainings that were interrupted in another number of processes are resumed, and some interrupted: FOLDER [BEFORE].

BEFORE is the number of processes whose checkpoints are resumed.
"""

import sys
from pathlib import Path

import torch
from shared_cases import take
from shared_failures import AtBatch, interrupt, said

from mytorch.train.parallel import join

MOMENTUM = {"momentum": 0.9, "lr": 0.02, "epochs": 4}
LEVELS = (None, "optimizer", "gradients", "parameters")
PAIRS = [*zip(LEVELS, LEVELS, strict=True), (None, "parameters"), ("parameters", None), ("gradients", "optimizer")]
"""What is divided before, and what after."""


def resumed(folder, before, level, processes=None, shard=None):
    """Train on from a checkpoint of so many processes."""
    path = f"{folder}/{before}-{level}.safetensors"
    return take("plain", processes, resume=path, accept_differences=True, shard=shard, **MOMENTUM)


def main():
    folder, *before = sys.argv[1:]
    found = {}
    with join(timeout=60) as processes:
        left = Path(folder, f"{processes.size}-None.safetensors").exists()
        for level in () if left else LEVELS:
            path = f"{folder}/{processes.size if processes.first else 'none'}-{level}.safetensors"
            stop = [AtBatch(processes.rank, interrupt)]
            options = {"checkpoint": path, "callbacks": stop, "shard": level, **MOMENTUM}
            assert said("plain", processes, **options) == "Interrupted: ended by SIGTERM"
        for number in before:
            for levels in PAIRS:
                found[levels] = resumed(folder, number, levels[0], processes, levels[1])
        torch.save(found, f"{folder}/{processes.size}-{processes.rank}.pt")


if __name__ == "__main__":
    main()
