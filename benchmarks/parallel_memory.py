"""What each process of a training holds, beside ZeRO's arithmetic.

Linear layers with ReLU between them are trained with Adam, whose state is two numbers for each weight, with each
`shard`, and as a pipeline with as many stages as processes, each of which has an equal part of everything. The memory
is that of the tensors behind the parameters, the gradients and the optimizer's state when the optimizer is about to
update, and the most that tensors hold within a step, from torch's profiler. ZeRO's arithmetic (Rajbhandari et al.
2020) divides the state by the number of processes, then the gradients, then the parameters, too. Processes that divide
the gradients hold less, those of a bucket, since they update bucket by bucket in the backward. Where the gradients are
clipped by their norm, they are kept until all are there.
"""

import gc
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from memory import MEASURED, MIB, peak_within
from networks import draw, make
from several import in_processes
from side_by_side import Report, Spread, Target, arguments
from torch import Tensor
from torch.profiler import record_function

from mytorch.optim import Adam
from mytorch.train.choose_step import choose_step
from mytorch.train.parallel import Processes

WIDTH, LAYERS, ROWS, STEPS = 1024, 32, 8, 3
NUMBERS = LAYERS * (WIDTH + 1) * WIDTH
KINDS = ("parameters", "gradients", "state")
CLIPPED = "gradients, clipped"
DIVIDED: dict[str | None, tuple[str, ...]] = {
    None: (),
    "optimizer": ("state",),
    "gradients": ("state", "gradients"),
    CLIPPED: ("state", "gradients"),
    "parameters": ("state", "gradients", "parameters"),
    "pipeline": ("state", "gradients", "parameters"),
}
"""What each `shard` divides, and a pipeline."""


class Weighed(Adam):
    """Notes what is held when it is about to update, the most of each kind: some update a part at a time."""

    held: dict[str, int]

    def update(self, values: list[Tensor], grads: list[Tensor], states: list[Any], group: Any) -> None:
        found = {
            "parameters": bytes_of(p.value for group in self.param_groups for p in group["params"]),
            "gradients": bytes_of(grads),
            "state": bytes_of(held for state in self.state.values() for held in state.values() if held.numel() > 1),
        }
        self.held = {kind: max(found[kind], self.held[kind]) for kind in KINDS}
        super().update(values, grads, states, group)

    def fused_state(self, group: Any) -> None:  # noqa: ARG002 - so that each step comes by `update`
        return None


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """The memory behind tensors, each part of it once."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def expected(level: str | None, processes: int) -> dict[str, float]:
    """ZeRO's arithmetic, in bytes."""
    whole = {"parameters": 4.0, "gradients": 4.0, "state": 8.0}
    return {kind: NUMBERS * each / (processes if kind in DIVIDED[level] else 1) for kind, each in whole.items()}


def held_here(processes: Processes) -> dict[str | None, dict[str, int]]:
    """What this process holds with each `shard`, and in a pipeline."""
    found = {}
    for level in DIVIDED:
        found[level] = held_with(processes, level)
        gc.collect()  # so that nothing of the last one is freed while the next is watched
    return found


def held_with(processes: Processes, level: str | None) -> dict[str, int]:
    """What this process holds when it updates, and the most in a step."""
    kept: list[Weighed] = []

    def train() -> None:
        weights, (inputs, targets) = draw((WIDTH,) * (LAYERS + 1), ROWS)
        net, loss, _ = make(weights)
        del weights
        net.input_grad = False
        kept.append(Weighed(net.param()))
        kept[0].held = dict.fromkeys(KINDS, 0)
        ways = {"pipeline": {"stages": processes.size}, CLIPPED: {"shard": "gradients", "clip_grad_norm": 1.0}}
        how: dict[str, Any] = ways.get(level, {"shard": level})
        take: Any = choose_step(kept[0], parallel=processes, **how)
        if level == "pipeline":
            take.stage_of(net, loss)
        storing = nullcontext() if take.shards is None else take.shards.storing(net, loss, kept[0])
        with torch.inference_mode(), storing:
            for number in range(STEPS):
                with record_function(MEASURED) if number + 1 == STEPS else nullcontext():
                    take(net, loss, kept[0], inputs, targets)

    peak = peak_within(train)
    return {**kept[0].held, "most in a step": peak}


def compare_memory(report: Report, counts: Iterable[int]) -> None:
    """A table of what the processes hold, and whether it is what the arithmetic says."""
    rows = []
    for processes in counts:
        found = in_processes(processes, held_here)
        for level in DIVIDED:
            wanted = expected(level, processes)
            most = {name: max(each[level][name] for each in found) for name in found[0][level]}
            cells = [f"{most[kind] / MIB:.1f} ({wanted[kind] / MIB:.1f})" for kind in KINDS]
            rows.append([str(processes), level or "none", *cells, f"{most['most in a step'] / MIB:.1f}"])
            for kind in KINDS:
                what = f"{processes} processes, shard {level or 'none'}: {kind} / ZeRO's arithmetic"
                report.targets.append(Target(what, Spread.of([most[kind] / wanted[kind]]), 1.01, at_least=False))
    title = f"MiB in the process that holds most (and by ZeRO's arithmetic), {NUMBERS / 1e6:.1f} million parameters"
    report.table(title, ["processes", "shard", *KINDS, "most in a step"], rows)
    for target in report.targets:
        if "ZeRO" in target.what and not target.met:
            report.target(target)


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    compare_memory(report, (2,) if options.quick else (2, 4))
    report.end()


if __name__ == "__main__":
    main()
