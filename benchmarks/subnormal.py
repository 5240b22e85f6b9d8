"""Training steps late in a run, when the momentum of dead units has shrunk to subnormal numbers.

A subnormal number is one below 1.2e-38 in float32; a processor computes with it a hundred times more slowly. In a step
of `mytorch.train.fit` such numbers count as 0. Here a perceptron 2-width-width-width-2 with ReLU learns the disk for
1500 steps by fit, by bare calls of `mytorch.train.step`, and in PyTorch with its fused SGD or Adam; then all take
turns. The weights after fit and after the bare steps must be equal to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from side_by_side import Measured, Report, arguments, in_process

from mytorch import nn, optim
from mytorch.data import Disk
from mytorch.train import Batches, fit, step

WIDTHS, ROWS, BATCH = (25, 256), 1000, 100
BEFORE, TURN = 150, 20
"""Epochs before the timing, and of one turn."""
FIT, STEPS, PYTORCH = "fit", "bare steps", "PyTorch"
OPTIMIZERS: dict[str, dict[str, Any]] = {"SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"lr": 1e-3}}
Train = Callable[[int], None]


def network(package: Any, width: int) -> Any:
    """The same layers of torch.nn or mytorch.nn."""
    sizes = (2, width, width, width)
    hidden = [(package.Linear(a, b), package.ReLU()) for a, b in pairwise(sizes)]
    return package.Sequential(*(layer for pair in hidden for layer in pair), package.Linear(width, 2))


def ours(width: int, name: str, by_fit: bool) -> tuple[Any, Train]:
    """A network, and what trains it for so many epochs."""
    torch.manual_seed(0)
    net, loss, data = network(nn, width), nn.CrossEntropyLoss(), Disk(ROWS)
    optimizer = getattr(optim, name)(net.param(), **OPTIMIZERS[name])
    order = Batches(data, BATCH)

    def train(epochs: int) -> None:
        if by_fit:
            fit(net, loss, optimizer, data, epochs=epochs, batch_size=BATCH, shuffle=False, quiet=True)
            return
        net.input_grad = False
        with torch.inference_mode():
            for _ in range(epochs):
                for inputs, targets in order:
                    step(net, loss, optimizer, inputs, targets)

    return net, train


def pytorch(width: int, name: str) -> Train:
    torch.manual_seed(0)
    net, loss, data = network(torch.nn, width), torch.nn.CrossEntropyLoss(), Disk(ROWS)
    optimizer = getattr(torch.optim, name)(net.parameters(), fused=True, **OPTIMIZERS[name])
    batches = list(zip(data.inputs.split(BATCH), data.targets.split(BATCH), strict=True))

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for inputs, targets in batches:
                optimizer.zero_grad()
                loss(net(inputs), targets).backward()
                optimizer.step()

    return train


def measure_here(width: int, name: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of the processor for a step, of every round."""
    torch.set_num_threads(1)
    (one, by_fit), (other, by_steps) = (ours(width, name, each) for each in (True, False))
    contestants = {FIT: by_fit, STEPS: by_steps, PYTORCH: pytorch(width, name)}
    for train in contestants.values():
        train(BEFORE)
    taken: dict[str, list[float]] = {each: [] for each in contestants}
    for _ in range(rounds):
        for each, train in contestants.items():
            started = time.process_time()
            train(TURN)
            taken[each].append((time.process_time() - started) / (TURN * ROWS // BATCH))
    pairs = zip(one.param(), other.param(), strict=True)
    assert all(torch.equal(a.value, b.value) for a, b in pairs), "fit and bare steps must give the same weights"
    return taken


def main() -> None:
    options = arguments(__doc__)
    processes, rounds = (1, 3) if options.quick else (3, 9)
    report, rows = Report(options.json), []
    for width in WIDTHS:
        for name in OPTIMIZERS:
            measured = Measured([in_process(measure_here, width, name, rounds) for _ in range(processes)])
            seconds = [measured.seconds(each).text(0, 1e6) for each in (FIT, STEPS, PYTORCH)]
            ratios = [measured.ratio(each, FIT).text() for each in (STEPS, PYTORCH)]
            rows.append([str(width), name, *seconds, *ratios])
    columns = [
        "width",
        "optimizer",
        *(f"{each}, us" for each in (FIT, STEPS, PYTORCH)),
        "steps / fit",
        "PyTorch / fit",
    ]
    report.table(f"A step after {BEFORE * ROWS // BATCH} others", columns, rows)
    report.end()


if __name__ == "__main__":
    main()
