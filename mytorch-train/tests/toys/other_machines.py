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

from mytorch.plugins import catalogue
from mytorch.train import versions
from mytorch.train.checkpoint.state import version_of_train
from mytorch.train.parallel import join


def alike(processes, folder):
    """What each process says where the second one has another version, or another kind of device."""
    second, found = processes.rank == 1, {}
    with mock.patch.object(torch, "__version__", "2.6.0" if second else torch.__version__):
        found["torch"] = said("plain", processes)
    for name, other in {"python": "3.12.1", "patch of python": "3.11.4"}.items():
        with mock.patch.object(platform, "python_version", return_value=other if second else "3.11.2"):
            found[name] = said("plain", processes)
    found |= plugin(processes, folder)
    with mock.patch.object(versions, "version", lambda name: "9.9.9" if second and name == "mytorch-core" else "0.1"):
        found["mytorch-core"] = said("plain", processes)
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


PLUGIN = """
from toy_parts import Dense
class Offered(Dense): pass
"""


def plugin(processes, folder):
    """What each process says of a plugin of which the second one has another version, if it uses a layer of it."""
    place = Path(folder, str(processes.rank))
    (information := place / "acme_layers.dist-info").mkdir(parents=True)
    (information / "METADATA").write_text(f"Name: acme-layers\nVersion: 1.{processes.rank}\n")
    (information / "entry_points.txt").write_text("[mytorch.layers]\nOffered = acme_layers:Offered\n")
    (place / "acme_layers.py").write_text(PLUGIN)
    sys.path.insert(0, str(place))
    catalogue.cache_clear()
    offered = importlib.import_module("acme_layers").Offered
    return {
        "plugin": said("plain", processes, net=lambda: Chain(offered(2, 2))),
        "plugin of which nothing is used": said("plain", processes),
    }


def full(processes, folder):
    """A checkpoint for which the disk of the first process has no room."""
    net = lambda: Chain(Dense(2, 100_000), Dense(100_000, 2))  # noqa: E731
    path = f"{folder}/{'disk' if processes.first else 'none'}/checkpoint.safetensors"
    take("plain", processes, net=net, epochs=1, lr=1e-9, checkpoint=path)


if __name__ == "__main__":
    with join(timeout=60) as processes:
        {"alike": alike, "full": full}[sys.argv[2]](processes, sys.argv[1])
