"""Machines that are not alike, or whose disk is full: FOLDER WHAT."""

import importlib
import platform
import sys
from pathlib import Path
from unittest import mock

import torch
from shared_cases import take
from shared_failures import said
from toy_parts import Chain, Dense

from mytorch.train.checkpoint.state import version_of_train
from mytorch.train.parallel import join


def alike(processes, folder):
    """What each process says where the second one has another version, or another kind of device."""
    second, found = processes.rank == 1, {}
    with mock.patch.object(torch, "__version__", "2.6.0" if second else torch.__version__):
        found["torch"] = said("plain", processes)
    with mock.patch.object(platform, "python_version", return_value="3.12.1" if second else "3.11.2"):
        found["python"] = said("plain", processes)
    if second:
        importlib.import_module("standin")  # which registers it
    found["device"] = said("plain", processes, device="standin" if second else "cpu")
    if second:
        information = Path(folder, "mytorch_train-9.9.9.dist-info")
        information.mkdir()
        (information / "METADATA").write_text("Name: mytorch-train\nVersion: 9.9.9\n")
        sys.path.insert(0, folder)
        version_of_train.cache_clear()
    found["mytorch-train"] = said("plain", processes)
    torch.save(found, f"{folder}/{processes.rank}.pt")


def full(processes, folder):
    """A checkpoint for which the disk of the first process has no room."""
    net = lambda: Chain(Dense(2, 100_000), Dense(100_000, 2))  # noqa: E731
    path = f"{folder}/{'disk' if processes.first else 'none'}/checkpoint.safetensors"
    take("plain", processes, net=net, epochs=1, lr=1e-9, checkpoint=path)


if __name__ == "__main__":
    with join(timeout=60) as processes:
        {"alike": alike, "full": full}[sys.argv[2]](processes, sys.argv[1])
