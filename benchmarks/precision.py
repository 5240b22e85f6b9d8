"""Training in half precision beside float32: the error over seeds, and time and memory of a step.

The problems are those of optimizer_choice.py, with AdamW at its defaults. Shown is the error on rows that were held
back, in the median over seeds with the least and the largest. The reference network is trained with both engines.
Time and memory are those of one step of three networks: the processor's time in the median of several steps, each
precision in turn, and the most that tensors hold; of the reference network, the time with both engines.

    python -m pip install scikit-learn
    python benchmarks/precision.py            # prints the tables; some minutes
    python benchmarks/precision.py --publish  # and puts them into docs/optimizers.md
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from memory import MEASURED, MIB, peak_within
from optimizer_choice import PAGE, PROBLEMS, Problem
from publish import put_between
from torch import Tensor
from torch.profiler import record_function

from mytorch.core import Module, Optimizer
from mytorch.data import Disk
from mytorch.nn import (
    BatchNorm2d,
    Conv2d,
    CrossEntropyLoss,
    Flatten,
    Linear,
    MaxPool2d,
    MSELoss,
    ReLU,
    Sequential,
    TransformerEncoderLayer,
)
from mytorch.optim import AdamW
from mytorch.plugins import Callback
from mytorch.train import fit
from mytorch.train.choose_step import choose_step
from mytorch.train.half_precision import PRECISIONS, make_precision
from mytorch.train.half_precision.casting import convert
from mytorch.train.setup import TakeStep

BEGIN, END = "<!-- by benchmarks/precision.py -->", "<!-- end -->"
NAMES = {"float32": None, **{name: name for name in PRECISIONS}}
SEEDS, STEPS = range(7), 7
REFERENCE = "2-25-25-25-2, batch 100"
ENGINES = ("eager", "compiled")

Network = tuple[Module, Module, Tensor, Tensor]


def reference(seed: int) -> Problem:
    """The reference network on points of the disk."""
    torch.manual_seed(seed)
    layers = [layer for width in (2, 25, 25) for layer in (Linear(width, 25), ReLU())]
    net = Sequential(*layers, Linear(25, 2))
    return Problem(net, CrossEntropyLoss(), Disk(1000, seed=seed), Disk(1000, seed=1000 + seed), 100, 100)


def errors(problem: str, name: str, seeds: range, engine: str = "eager") -> list[float]:
    """The error of one training for each seed."""
    found = []
    for seed in seeds:
        made = reference(seed) if problem == REFERENCE else PROBLEMS[problem](seed)
        options = {"epochs": made.epochs, "batch_size": made.batch_size, "seed": seed, "quiet": True, "engine": engine}
        fit(made.net, made.loss, AdamW(made.net.param()), made.training, precision=NAMES[name], **options)
        found.append(made.judge())
    return found


def linear() -> Network:
    """Three layers of width 1024, batch 256."""
    layers = [Linear(1024, 1024), ReLU(), Linear(1024, 1024), ReLU(), Linear(1024, 1024)]
    return Sequential(*layers), MSELoss(), torch.randn(256, 1024), torch.randn(256, 1024)


def convolutions() -> Network:
    """Three convolutions with batch normalisation, 32 images of 3 by 32 by 32."""
    blocks = [(3, 32), (32, 64), (64, 64)]
    layers = [
        layer
        for below, above in blocks
        for layer in (Conv2d(below, above, 3, padding=1), BatchNorm2d(above), ReLU(), MaxPool2d(2))
    ]
    net = Sequential(*layers, Flatten(), Linear(1024, 10))
    return net, CrossEntropyLoss(), torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))


def transformer() -> Network:
    """Two encoder layers of width 256 with 8 heads, 16 sequences of 64."""
    layers = [TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True) for _ in range(2)]
    return Sequential(*layers), MSELoss(), torch.randn(16, 64, 256), torch.randn(16, 64, 256)


NETWORKS: dict[str, Callable[[], Network]] = {
    "3 layers of width 1024, batch 256": linear,
    "3 convolutions, 32 images of 32 by 32": convolutions,
    "2 encoder layers of width 256, 16 sequences of 64": transformer,
}


def taken(make: Callable[[], Network], name: str) -> tuple[Network, Optimizer, TakeStep]:
    """A network with its optimizer and the step of a precision, of which the scale of the loss has settled."""
    torch.manual_seed(0)
    net, loss, x, t = make()
    optimizer = AdamW(net.param())
    step = choose_step(optimizer, precision=NAMES[name])
    precision = make_precision(NAMES[name])
    if precision is not None and not precision.mixed:
        convert(net, precision.dtype)  # as the loop does before an epoch
    with torch.inference_mode():
        while not optimizer.state:
            step(net, loss, optimizer, x, t)
    return (net, loss, x, t), optimizer, step


def seconds(make: Callable[[], Network], steps: int) -> dict[str, float]:
    """The processor's time of a step of each precision, in turn; the median."""
    made = {name: taken(make, name) for name in NAMES}
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    with torch.inference_mode():
        for number in range(steps + 2):
            for name, ((net, loss, x, t), optimizer, step) in made.items():
                begin = time.process_time()
                step(net, loss, optimizer, x, t)
                if number > 1:
                    found[name].append(time.process_time() - begin)
    return {name: statistics.median(each) for name, each in found.items()}


class Clock(Callback):
    """The processor's time of each epoch's steps."""

    may_lag = True

    def __init__(self) -> None:
        self.began, self.seconds = math.nan, list[float]()

    def epoch_trained(self) -> None:
        """The steps are over."""
        self.seconds.append(time.process_time() - self.began)

    def epoch_ended(self) -> None:
        """The steps of the next epoch begin."""
        self.began = time.process_time()


def seconds_of_reference(name: str, engine: str, epochs: int) -> float:
    """The processor's time of a step of the reference network in a run; the median of the later epochs."""
    made, clock = reference(0), Clock()
    options = {"epochs": epochs, "batch_size": made.batch_size, "quiet": True, "engine": engine, "callbacks": [clock]}
    fit(made.net, made.loss, AdamW(made.net.param()), made.training, precision=NAMES[name], **options)
    return statistics.median(clock.seconds[epochs // 2 :]) / (len(made.training) // made.batch_size)


def memory(make: Callable[[], Network], name: str) -> float:
    """The most MiB that tensors held during a step."""

    def work() -> None:
        (net, loss, x, t), optimizer, step = taken(make, name)
        with torch.inference_mode():
            step(net, loss, optimizer, x, t)
            with record_function(MEASURED):
                step(net, loss, optimizer, x, t)

    gc.collect()  # so that nothing of the last one is freed while this one is watched
    return peak_within(work) / MIB


def tables(seeds: range, steps: int) -> Iterator[str]:
    """The lines of both tables."""
    header = f"| {{}} | {' | '.join(NAMES)} |"
    rule = "|---" * (len(NAMES) + 1) + "|"
    yield from (header.format("Error in percent"), rule)
    for problem, engine in (*((problem, "eager") for problem in PROBLEMS), *((REFERENCE, each) for each in ENGINES)):
        cells = []
        for name in NAMES:
            found = errors(problem, name, seeds, engine)
            cells.append(f"{statistics.median(found):.1f} ({min(found):.1f} to {max(found):.1f})")
        yield f"| {problem}{f', {engine}' if problem == REFERENCE else ''} | {' | '.join(cells)} |"
    yield from ("", header.format("Time and memory of a step"), rule)
    for network, make in NETWORKS.items():
        times = seconds(make, steps)
        cells = [f"{1000 * times[name]:.0f} ms, {memory(make, name):.0f} MiB" for name in NAMES]
        yield f"| {network} | {' | '.join(cells)} |"
    for engine in ENGINES:
        cells = [f"{1000 * seconds_of_reference(name, engine, 10 * steps):.2f} ms" for name in NAMES]
        yield f"| {REFERENCE}, {engine} | {' | '.join(cells)} |"


def main() -> None:
    """Print the tables, and publish them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one seed and few steps: shows that it works")
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/optimizers.md")
    options: Any = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for line in tables(SEEDS[:1] if options.quick else SEEDS, 3 if options.quick else STEPS):
        print(line, flush=True)
        lines.append(line)
    if options.publish:
        put_between(PAGE, f"{BEGIN}\n", END, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
