"""The memory and the time of a training whose weights lie in memory, or in temporary files, `fit(weights="disk")`.

Two networks: 24 linear layers of width 2048 and six transformer layers of width 1024, in float32 with Adam. Each way
runs in a process of its own, of which /proc/self/status tells every few milliseconds how much memory it has that no
file is behind: the table has the most of it, less what there is before the network is built. Memory of files is what
the system gives and takes as it has room. Times are those of the processor for a step from the second epoch on, with
the work of the operating system, as multiples of those in memory; the time that is spent waiting for a disk, which
depends on the disk and on how much memory is free, is not in them.

It needs Linux, and in the folder of temporary files the room that the table says.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from side_by_side import Report, arguments

import mytorch.nn as nn
from mytorch.data import TensorDataSet
from mytorch.optim import Adam
from mytorch.plugins import Callback
from mytorch.train import fit, on_disk
from mytorch.train.memory.mapped import is_on_disk

BATCHES = 4
WAYS: dict[str, dict[str, Any]] = {
    "in memory": {},
    "in memory, `optimizer_in_backward`": {"optimizer_in_backward": True},
    '`weights = "disk"`': {"weights": "disk"},
    '`weights = "disk"`, `saved = "disk"`': {"weights": "disk", "saved": "disk"},
}


def perceptron() -> Any:
    layers = [layer for _ in range(24) for layer in (nn.Linear(2048, 2048), nn.GELU())]
    return nn.Sequential(*layers, nn.Linear(2048, 10))


def transformer() -> Any:
    def layer() -> Any:
        return nn.TransformerEncoderLayer(1024, 8, 4096, dropout=0.1, batch_first=True, norm_first=True)

    return nn.Sequential(
        nn.Embedding(64, 1024), *(layer() for _ in range(6)), nn.Linear(1024, 64), nn.Permute((0, 2, 1))
    )


def rows_of_numbers() -> Any:
    return torch.randn(64 * BATCHES, 2048), torch.randint(10, (64 * BATCHES,))


def texts() -> Any:
    return torch.randint(64, (4 * BATCHES, 64)), torch.randint(64, (4 * BATCHES, 64))


NETWORKS = {
    "24 linear layers of width 2048, batch 64": (perceptron, rows_of_numbers, 64),
    "6 transformer layers of width 1024, 4 sequences of 64": (transformer, texts, 4),
}


class Clock(Callback):
    """The processor's time of each step of the later epochs but the first."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def batch_ended(self, epoch: int, batch: int) -> None:
        now = time.process_time()
        if epoch > 1 and batch > 1:
            self.times.append(now - self.last)
        self.last = now


def train(name: str, options: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Train in this process. What it needed."""
    torch.set_num_threads(1)
    build, draw, batch_size = NETWORKS[name]
    torch.manual_seed(0)
    data = TensorDataSet(*draw())
    torch.ones(9, 9) @ torch.ones(9, 9)
    on_top, clock = _most_private(), Clock()
    with on_disk() if "weights" in options else nullcontext():
        net = build()
    optimizer = Adam(net.param(), lr=1e-4)
    given = {"epochs": epochs, "batch_size": batch_size, "quiet": True, "callbacks": [clock], **options}
    fit(net, nn.CrossEntropyLoss(), optimizer, data, **given)
    values = [held.value for _, held in net.named_state()]
    kept = [entry for state in optimizer.state.values() for entry in state.values()]
    digest = hashlib.sha256()
    for value in values:
        digest.update(value.numpy())
    return {
        "digest": digest.hexdigest(),
        "files": 2 * sum(value.nbytes for value in [*values, *kept] if is_on_disk(value)) / 2**20,  # with copies
        "private": on_top(),
        "processor": median(clock.times),
    }


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _most_private() -> Any:
    """A function that returns the most memory without files, in MiB, that the process has had on top since now."""
    before = most = _status("RssAnon")

    def watch() -> None:
        nonlocal most
        while True:
            most = max(most, _status("RssAnon"))
            time.sleep(0.003)

    threading.Thread(target=watch, daemon=True).start()
    return lambda: (most - before) / 2**10


def apart(name: str, options: dict[str, Any], epochs: int) -> dict[str, Any]:
    """The same in a process of its own."""
    # so that the C library asks the system for every large block, and gives it back
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    command = [sys.executable, __file__, "--one", json.dumps([name, options, epochs])]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(name: str, quick: bool) -> list[list[str]]:
    """A row for each way; the ways take turns, and a ratio is taken within a round."""
    rounds = [
        {way: apart(name, options, 2 if quick else 3) for way, options in WAYS.items()}
        for _ in range(1 if quick else 3)
    ]
    first = next(iter(WAYS))
    assert len({run["digest"] for found in rounds for run in found.values()}) == 1  # equal to the bit
    return [
        [
            way,
            f"{median(found[way]['private'] for found in rounds):.0f}",
            f"{rounds[0][way]['files']:.0f}",
            f"{median(found[way]['processor'] / found[first]['processor'] for found in rounds):.2f}",
        ]
        for way in WAYS
    ]


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(train(*json.loads(sys.argv[2]))))
        return
    options = arguments(__doc__)
    report = Report(options.json)
    columns = ["weights and state", "memory, MiB", "files, MiB", "time of a step"]
    for name in NETWORKS:
        report.table(name, columns, rows(name, options.quick))
    report.end()


if __name__ == "__main__":
    main()
