"""The rows a second of 1, 2 and 4 processes of one thread, and the constants that scale_model.py computes with.

Other work on the machine can only make a measurement longer, so that the fastest tenth counts. The work of all threads
of a process says what communication costs where there are more processes than cores, or other programs need them.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from networks import draw, make
from several import in_processes
from side_by_side import Report, arguments
from torch import distributed

from mytorch.train import step
from mytorch.train.choose_step import choose_step
from mytorch.train.parallel import Processes

WIDTH, LAYERS, ROWS = 1024, 4, 128
BIG = 25 * 2**20
COUNTS = (1, 2, 4)


class Took(NamedTuple):
    """Seconds: by the clock, and of work by all threads of the process."""

    clock: float
    work: float


def fastest(call: Callable[[], object], rounds: int) -> Took:
    """Seconds of the fastest tenth of so many calls."""
    call()
    clocks, works = [], []
    for _ in range(rounds):
        started = Took(time.perf_counter(), time.process_time())
        call()
        clocks.append(time.perf_counter() - started.clock)
        works.append(time.process_time() - started.work)
    return Took(sorted(clocks)[rounds // 10], sorted(works)[rounds // 10])


def step_here(processes: Processes | None, rounds: int) -> Took:
    """Seconds of a step with so many rows in each process."""
    weights, (inputs, targets) = draw((WIDTH,) * (LAYERS + 1), ROWS)
    net, loss, optimizer = make(weights)
    net.input_grad = False
    take = step if processes is None else choose_step(optimizer, parallel=processes)
    with torch.inference_mode():
        return fastest(lambda: take(net, loss, optimizer, inputs, targets), rounds)


def messages_here(_processes: Processes, rounds: int) -> tuple[float, float]:
    """Seconds of an all-reduce of one number and of one of BIG bytes."""
    one, many = torch.zeros(1), torch.zeros(BIG // 4)
    small = fastest(lambda: distributed.all_reduce(one), 10 * rounds)
    return small.clock, fastest(lambda: distributed.all_reduce(many), rounds).clock


def compare_counts(report: Report, rounds: int) -> None:
    """Tables of the rows a second, and of the constants."""
    taken = {count: Took(*map(max, zip(*in_processes(count, step_here, rounds), strict=True))) for count in COUNTS}
    one = taken[1]
    rows = [
        [
            str(count),
            f"{1e3 * each.clock:.1f}",
            f"{count * ROWS / each.clock:.0f}",
            f"{one.clock / each.clock:.2f}",
            f"{1e3 * each.work:.1f}",
            f"{one.work / each.work:.2f}",
        ]
        for count, each in taken.items()
    ]
    title = f"{LAYERS} linear layers of width {WIDTH}, {ROWS} rows in each process of one thread"
    heads = ["processes", "ms a step", "rows a second", "efficiency", "ms of work in each", "efficiency by work"]
    report.table(title, heads, rows)
    small, large = map(max, zip(*in_processes(2, messages_here, rounds), strict=True))
    operations = 6 * LAYERS * (WIDTH + 1) * WIDTH * ROWS / one.clock
    constants = [
        ["operations of a process", f"{operations / 1e9:.0f} billion a second"],
        ["latency of a message by gloo", f"{small / 2 * 1e6:.0f} us"],
        ["bandwidth by gloo", f"{BIG / (large - small) / 1e9:.2f} GB/s"],
    ]
    report.table("Constants for scale_model.py, two processes", ["constant", "measured"], constants)


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    compare_counts(report, 10 if options.quick else 100)
    report.end()


if __name__ == "__main__":
    main()
