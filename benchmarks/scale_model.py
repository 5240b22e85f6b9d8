"""What a step of more processes would take, computed from measured constants and stated assumptions.

It prints the tables of docs/scale.md, whose section "On paper" has the formulas; nothing is trained. The model of a
training has so many numbers in float32, of which forward and backward need 2 and 4 operations for each row.

    python benchmarks/scale_model.py
    python benchmarks/scale_model.py --publish  # and puts the tables into docs/scale.md
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from publish import put_between

PAGE = Path(__file__).parents[1] / "docs/scale.md"
BEGIN, END = "<!-- by benchmarks/scale_model.py -->\n", "<!-- end -->\n"
RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)
BYTES = 4
"""Of a number in float32."""
BUCKET, ALONE = 25 * 2**20, 4 * 2**20
"""Bytes from which on a bucket is full, and from which on a gradient of data parallel travels alone."""
MICRO_BATCHES = 4
"""For each stage of a pipeline, as by default."""
PAYS = 0.5
"""A form pays while a process spends at least this part of a step with what one process alone would compute."""


@dataclass(frozen=True)
class Machine:
    """Processes that are all alike, each connected to all others.

    operations: a second, of one process in the products of a training step.
    latency: seconds of a message.  bandwidth: bytes a second that a process sends while it receives as many.
    trees: whether sums travel through a tree where that takes less time, as by NCCL, or in rings alone, as by gloo.
    """

    name: str
    operations: float
    latency: float
    bandwidth: float
    trees: bool


@dataclass(frozen=True)
class Model:
    """What is trained.

    parameters: numbers, in so many layers that are alike, as square matrices of the width.
    width: numbers of a layer's output for each row.
    rows: of each process in a step.
    """

    name: str
    parameters: float
    layers: int
    width: int
    rows: int


MEASURED = Machine("cores of a busy virtual machine, joined by gloo", 54e9, 34e-6, 0.86e9, trees=False)
ASSUMED = Machine("GPUs in a datacentre, joined by NCCL", 200e12, 10e-6, 25e9, trees=True)
SMALL = Model("67 million parameters, 128 rows in each process", 67e6, 16, 2048, 128)
MIDDLE = Model("67 million parameters, 8,192 rows in each process", 67e6, 16, 2048, 8192)
LARGE = Model("7 billion parameters, 8,192 rows (tokens) in each process", 7e9, 32, 4096, 8192)
CASES = ((MEASURED, SMALL), (ASSUMED, MIDDLE), (ASSUMED, LARGE))


def compute(machine: Machine, model: Model) -> tuple[float, float]:
    """Seconds of forward and backward."""
    forward = 2 * model.parameters * model.rows / machine.operations
    return forward, 2 * forward


def gather(machine: Machine, ranks: int, size: float) -> float:
    """Seconds of an all-gather in a ring; a reduce-scatter, the sums of pieces, each for its owner, takes as long."""
    return (ranks - 1) * (machine.latency + size / ranks / machine.bandwidth)


def add_up(machine: Machine, ranks: int, size: float) -> float:
    """Seconds of an all-reduce: sums of pieces, and everybody gets them."""
    ring = 2 * gather(machine, ranks, size)
    tree = 2 * (math.ceil(math.log2(ranks)) * machine.latency + size / machine.bandwidth)
    return min(ring, tree) if machine.trees else ring


def buckets(model: Model) -> tuple[int, float]:
    """How many travel where gradients are not divided, and the bytes of each."""
    return _in_buckets(model, 1) if BYTES * model.width**2 >= ALONE else divided_buckets(model)


def divided_buckets(model: Model) -> tuple[int, float]:
    """The same of ZeRO-1 and ZeRO-2, where large matrices share buckets, too."""
    return _in_buckets(model, math.ceil(BUCKET / (BYTES * model.width**2)))


def _in_buckets(model: Model, matrices: int) -> tuple[int, float]:
    """How many buckets of so many matrices a model has, and the bytes of each."""
    count = math.ceil(round(model.parameters / model.width**2) / matrices)
    return count, BYTES * model.parameters / count


def after_backward(machine: Machine, model: Model, ranks: int) -> float:
    """Data parallel; all buckets travel after the backward."""
    count, size = buckets(model)
    return sum(compute(machine, model)) + count * add_up(machine, ranks, size)


def overlapped(machine: Machine, model: Model, ranks: int) -> float:
    """Data parallel; each bucket travels when it is full, so that at least the last one is waited for."""
    count, size = buckets(model)
    return _behind_backward(machine, model, count, add_up(machine, ranks, size))


def zero_2(machine: Machine, model: Model, ranks: int) -> float:
    """Sums of gradients go to their owners during the backward; the updated parameters are gathered after it."""
    count, size = divided_buckets(model)
    one = gather(machine, ranks, size)
    return _behind_backward(machine, model, count, one) + count * one


def _behind_backward(machine: Machine, model: Model, count: int, one: float) -> float:
    """Forward and backward, during which so many buckets travel, each of which takes so many seconds."""
    forward, backward = compute(machine, model)
    return forward + max(backward, backward / count + (count - 1) * one) + one


def zero_3(machine: Machine, model: Model, ranks: int) -> float:
    """A layer's parameters travel while the one before computes, in the backward beside the sums of its gradients."""
    one = gather(machine, ranks, BYTES * model.parameters / model.layers)
    forward, backward = (seconds / model.layers for seconds in compute(machine, model))
    return one + model.layers * (max(forward, one) + max(backward, 2 * one)) + one


def pipeline(machine: Machine, model: Model, ranks: int) -> float:
    """A stage in each process, all of whose rows go through all stages; infinite if there are fewer layers."""
    if ranks > model.layers:
        return math.inf
    count = MICRO_BATCHES * ranks
    rows = model.rows * ranks / count
    one = sum(compute(machine, model)) * rows / model.rows / ranks
    sent = 2 * (machine.latency + BYTES * rows * model.width / machine.bandwidth)
    return (count + ranks - 1) * (one + sent)


FORMS: dict[str, Callable[[Machine, Model, int], float]] = {
    "data parallel without overlap": after_backward,
    "data parallel": overlapped,
    "ZeRO-1, ZeRO-2": zero_2,
    "ZeRO-3": zero_3,
    "pipeline": pipeline,
}
HELD: dict[str, Callable[[int], float]] = {
    "data parallel": lambda _: 16,
    "ZeRO-1": lambda ranks: 8 + 8 / ranks,
    "ZeRO-2": lambda ranks: 4 + 12 / ranks,
    "ZeRO-3": lambda ranks: 16 / ranks,
    "pipeline": lambda ranks: 16 / ranks,
}
"""Bytes for each number of the model, with Adam: parameters and gradients of 4, a state of 8."""


def efficiency(form: str, machine: Machine, model: Model, ranks: int) -> float:
    """The part of a step that one process alone would need for as many rows."""
    return sum(compute(machine, model)) / FORMS[form](machine, model, ranks)


def pays_until(form: str, machine: Machine, model: Model) -> int | None:
    """The most of RANKS for which a form pays; None if it pays for none."""
    return max((ranks for ranks in RANKS if efficiency(form, machine, model, ranks) >= PAYS), default=None)


def table_of(machine: Machine, model: Model) -> list[str]:
    """The efficiency of each form, and where it stops paying."""
    lines = [
        f"**{model.name}; {machine.name}**: {machine.operations:.3g} operations a second, latency "
        f"{machine.latency * 1e6:.3g} us, {machine.bandwidth / 1e9:.3g} GB/s; forward and backward take "
        f"{sum(compute(machine, model)):.3g} s.",
        "",
        f"| Efficiency | {' | '.join(f'{ranks:,}' for ranks in RANKS)} | pays up to |",
        "|---" * (len(RANKS) + 2) + "|",
    ]
    for form in FORMS:
        found = [efficiency(form, machine, model, ranks) for ranks in RANKS]
        cells = [f"{each:.0%}" if each else "-" for each in found]
        last = pays_until(form, machine, model)
        lines.append(f"| {form} | {' | '.join(cells)} | {f'{last:,}' if last else 'fewer than 8'} |")
    return lines


def memory_table() -> list[str]:
    """What each process holds."""
    lines = [f"| GiB | {' | '.join(f'{ranks:,}' for ranks in RANKS)} |", "|---" * (len(RANKS) + 1) + "|"]
    for form, of_number in HELD.items():
        most = LARGE.layers if form == "pipeline" else RANKS[-1]
        cells = [f"{of_number(n) * LARGE.parameters / 2**30:.1f}" if n <= most else "-" for n in RANKS]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return lines


def text() -> str:
    """What stands in the page."""
    lines = []
    for machine, model in CASES:
        lines += [*table_of(machine, model), ""]
    lines += [f"**Memory of each process, {LARGE.name.partition(',')[0]}, Adam, float32**, without activations:", ""]
    return "\n".join([*lines, *memory_table()]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--publish", action="store_true", help="put the tables into docs/scale.md")
    options = parser.parse_args()
    print(text(), end="")
    if options.publish:
        put_between(PAGE, BEGIN, END, text())


if __name__ == "__main__":
    main()
