"""What shuffled batches of data in memory cost on top of the training steps that take them.

Whole epochs of `for inputs, targets in Batches(data, 100, shuffle=True): step(...)` with the reference network, the
drawing of the order among it, beside the same steps on batches that lie ready. A thousand rows is the promise; ten
million rows, which no cache holds, are reported.
"""

import sys
import time
from collections.abc import Iterable
from itertools import cycle, islice
from typing import Any

import torch
from alone import run_alone
from networks import BATCH, REFERENCE, draw, make
from results import Section, rows_of
from side_by_side import COMPARED, Measured, Target, in_process, prepare
from torch.nn import functional as F

from mytorch.data import TensorDataSet
from mytorch.train import Batches, step

PATH, READY = "mytorch, shuffled batches", "mytorch, batches that lie ready"
PROMISED = 1000
TEXT = (
    f"Eager steps of the reference network on batches of {BATCH} of data in memory, the drawing of the order included."
)
FULL = {PROMISED: (5, 40, 25), 1_000_000: (3, 3, 1), 10_000_000: (3, 2, 1)}
QUICK = {PROMISED: (2, 10, 25), 100_000: (2, 2, 1)}
"""By rows: processes, rounds in each, and epochs a round."""
KEPT = 1000
"""At most so many batches lie ready, so that they stay in the processor's cache."""


def measure_here(rows: int, rounds: int, epochs: int) -> dict[str, list[float]]:
    """Seconds a step, a value each round."""
    prepare()
    torch.manual_seed(0)
    data = TensorDataSet(torch.rand(rows, REFERENCE[0]), F.one_hot(torch.randint(2, (rows,)), 2).float())
    shuffled = Batches(data, BATCH, shuffle=True, seed=1)
    ready = list(islice(Batches(data, BATCH, shuffle=True, seed=1), KEPT))
    count = epochs * len(shuffled)
    taken: dict[str, list[float]] = {PATH: [], READY: []}
    for number in range(rounds + 1):
        sources = {PATH: (batch for _ in range(epochs) for batch in shuffled), READY: islice(cycle(ready), count)}
        times = {}
        for name in sorted(sources, reverse=bool(number % 2)):
            first, times[name] = train(sources[name], count)
            if number == 0:  # which warms up, and in which both see the same batches
                torch.testing.assert_close(first, train(ready[:COMPARED], 1)[0], rtol=1e-5, atol=1e-7)
        for name, seconds in times.items() if number else ():
            taken[name].append(seconds)
    return taken


def train(batches: Iterable[Any], count: int) -> tuple[list[float], float]:
    """The first losses, and the seconds a step."""
    net, loss, optimizer = make(draw(REFERENCE, BATCH)[0])
    net.input_grad = False
    losses: list[Any] = []
    with torch.inference_mode():
        started = time.perf_counter()
        for inputs, targets in batches:
            value, _ = step(net, loss, optimizer, inputs, targets)
            if len(losses) < COMPARED:
                losses.append(value)
        seconds = time.perf_counter() - started
    return [float(value) for value in losses], seconds / count


def sections(quick: bool) -> list[Section]:
    """One section, over the rows of the data."""
    section = Section("batches", "Epochs of shuffled batches", TEXT, "microseconds a step", axis="rows of the data")
    for rows, (processes, rounds, epochs) in (QUICK if quick else FULL).items():
        measured = Measured([in_process(measure_here, rows, rounds, epochs) for _ in range(processes)])
        section.rows += rows_of(measured, READY, 1e6, rows)
        if rows == PROMISED:
            section.targets = [Target(f"{rows} rows: {PATH} / {READY}", measured.ratio(PATH, READY), 1.15, False)]
    return [section]


if __name__ == "__main__":
    sys.exit(run_alone(sections, __doc__))
