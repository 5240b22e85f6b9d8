"""What shuffled batches of data in memory cost on top of the training steps that take them.

Whole epochs of `for inputs, targets in Batches(data, 100, shuffle=True): step(...)` with the reference network, the
drawing of the order among it, beside the same steps on batches that lie ready. A thousand rows is the promise; ten
million rows, which no cache holds, are reported.
"""

import time
from collections.abc import Iterable
from itertools import cycle, islice
from typing import Any

import torch
from networks import BATCH, REFERENCE, draw, make
from side_by_side import COMPARED, Measured, Report, Target, arguments, in_process, prepare
from torch.nn import functional as F

from mytorch.data import TensorDataSet
from mytorch.train import Batches, step

PATH, READY = "epochs of shuffled batches", "the same steps on batches that lie ready"
FULL = {1000: (5, 40, 25), 1_000_000: (3, 3, 1), 10_000_000: (3, 2, 1)}
QUICK = {1000: (2, 10, 25), 100_000: (2, 2, 1)}
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
            value = step(net, loss, optimizer, inputs, targets)
            if len(losses) < COMPARED:
                losses.append(value)
        seconds = time.perf_counter() - started
    return [float(value) for value in losses], seconds / count


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    for rows, (processes, rounds, epochs) in (QUICK if options.quick else FULL).items():
        measured = Measured([in_process(measure_here, rows, rounds, epochs) for _ in range(processes)])
        each = [[name, measured.seconds(name).text(1, 1e6)] for name in (PATH, READY)]
        ratio = measured.ratio(PATH, READY)
        shown = [*each, [f"{PATH} / {READY}", ratio.text(3)]]
        report.table(f"{rows:,} rows in batches of {BATCH}", ["what", "microseconds a step (quartiles)"], shown)
        if rows == 1000:
            report.target(Target(f"{rows:,} rows: {PATH} / {READY}", ratio, 1.15, at_least=False))
    report.end()


if __name__ == "__main__":
    main()
