"""Data parallel steps of two processes beside PyTorch's DistributedDataParallel: times, memory by process, efficiency.

Two processes of one thread train four linear layers with ReLU between them, each on as many rows, by gloo. What the
communication costs is the time of such a step without that of the same step of the same two processes that exchange
nothing; both run at the same time on both sides, so that they share caches and memory alike. Beside it stands the time
that the processor works for it, by all threads of a process, which other programs on a busy machine change less. Ours
sends a bucket of gradients as soon as they are complete, or, to show what that brings, all of them after the backward.
PyTorch's DDP is taken as it is by default, which counts, and with gradients that are views of its buckets.

Then come the constants of the model of more processes (scale_model.py), what each process holds (parallel_memory.py),
and the rows a second of 1, 2 and 4 processes of one thread.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from networks import LR, MOMENTUM, TORCH_SGD, Plain, draw, make
from parallel_memory import compare_memory
from parallel_scaling import compare_counts
from results import processor
from several import in_processes
from side_by_side import COMPARED, Contestant, Effort, Report, Spread, Target, arguments
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from mytorch.train import step
from mytorch.train.choose_step import choose_step
from mytorch.train.parallel import Processes
from mytorch.train.parallel.reducer import Reducer
from mytorch.train.parallel.step import ParallelStep

WIDTHS, LAYERS, ROWS = (256, 512, 1024, 2048), 4, 128
OURS_ALONE, OURS, OURS_AFTER = "mytorch, alone", "mytorch", "mytorch, after the backward"
THEIRS_ALONE, DDP, DDP_VIEWS = "PyTorch, alone", "PyTorch, DDP", "PyTorch, DDP with views"
ALL_REDUCE = "all-reduce of the same gradients"
ALONE = {OURS: OURS_ALONE, OURS_AFTER: OURS_ALONE, DDP: THEIRS_ALONE, DDP_VIEWS: THEIRS_ALONE}
"""What each contestant that communicates is compared with."""
FULL, QUICK = Effort(2, 20, 0.1), Effort(1, 6, 0.03)


class Took(NamedTuple):
    """Seconds a step: by the clock, and of work by all threads of the process."""

    clock: float
    work: float


class AfterBackward(Reducer):
    """Lets no bucket travel before the backward has ended."""

    def send_full(self) -> None:
        """Wait for `finish`."""


def ours(processes: Processes | None, width: int, kind: Callable[[Processes], Reducer] | None) -> Contestant:
    """Our step, with gradients that are added up by a reducer of this kind, or not at all."""
    weights, (inputs, targets) = draw((width,) * (LAYERS + 1), ROWS * (processes.size if processes else 1))
    net, loss, optimizer = make(weights)
    net.input_grad = False
    x, t = _own_rows(processes, inputs), _own_rows(processes, targets)
    take = step if kind is None else ParallelStep(choose_step(optimizer), kind(processes))  # type: ignore[arg-type]
    return Contestant(lambda: take(net, loss, optimizer, x, t)[0], inference=True)


def theirs(processes: Processes | None, width: int, views: bool | None) -> Contestant:
    """PyTorch's step by DDP, with gradients that are views of its buckets or not, or without DDP."""
    weights, (inputs, targets) = draw((width,) * (LAYERS + 1), ROWS * (processes.size if processes else 1))
    plain = Plain(weights)
    net = plain if views is None else DistributedDataParallel(plain, gradient_as_bucket_view=views)
    optimizer = torch.optim.SGD(plain.parameters(), lr=LR, momentum=MOMENTUM, **TORCH_SGD["fused"])
    x, t = _own_rows(processes, inputs), _own_rows(processes, targets)
    loss = torch.nn.MSELoss()

    def train() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value: Tensor = loss(net(x), t)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return value.detach()

    return Contestant(train)


def _own_rows(processes: Processes | None, rows: Tensor) -> Tensor:
    return rows if processes is None else rows.chunk(processes.size)[processes.rank].clone()


def all_reduce(processes: Processes, width: int) -> Contestant:
    """The buckets of our reducer, added up without anything beside."""
    net, _, _ = make(draw((width,) * (LAYERS + 1), 1)[0])
    reducer = Reducer(processes)
    reducer.lay_out(net.param()[::-1])
    flats = [torch.zeros(sum(p.value.numel() for p in bucket.parameters)) for bucket in reducer.buckets]

    def exchange() -> Tensor:
        works = [distributed.all_reduce(flat, async_op=True) for flat in flats]
        for work in works:
            work.wait()
        return flats[0][0]

    return Contestant(exchange)


def contestants(processes: Processes, width: int) -> dict[str, Contestant]:
    """Everybody, on the rows of this process."""
    return {
        OURS_ALONE: ours(processes, width, None),
        OURS: ours(processes, width, Reducer),
        OURS_AFTER: ours(processes, width, AfterBackward),
        THEIRS_ALONE: theirs(processes, width, None),
        DDP: theirs(processes, width, views=False),
        DDP_VIEWS: theirs(processes, width, views=True),
        ALL_REDUCE: all_reduce(processes, width),
    }


def times_here(processes: Processes, width: int, effort: Effort) -> dict[str, list[Took]]:
    """Seconds a step of each contestant, in each round, in this process."""
    present = contestants(processes, width)
    require_same_losses(processes, {name: present[name] for name in ALONE})
    calls = {name: _calls(processes, each, effort.seconds) for name, each in present.items()}
    rounds: dict[str, list[Took]] = {name: [] for name in present}
    draw_order = random.Random(0)  # the same in all processes; who comes first fills the caches
    for _ in range(effort.rounds):
        for name in draw_order.sample(list(present), len(present)):
            rounds[name].append(_time(present[name], calls[name]))
    return rounds


def require_same_losses(processes: Processes, compared: dict[str, Contestant]) -> None:
    """Raise unless the first losses over all rows are the same."""
    expected: Tensor | None = None
    for name, contestant in compared.items():
        with contestant.mode():
            losses = torch.stack([contestant.call().double() for _ in range(COMPARED)])
        processes.wait(processes.add(losses))  # ours are of all rows already, PyTorch's of each process
        expected = losses if expected is None else expected
        torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-6, msg=f"the losses of {name} differ")


def _calls(processes: Processes, contestant: Contestant, seconds: float) -> int:
    """Warm up, and agree on how many calls fill the time of a round."""
    _time(contestant, 2)
    took = max(each.clock for each in processes.gather(_time(contestant, 2)))
    return max(1, round(seconds / took))


def _time(contestant: Contestant, calls: int) -> Took:
    distributed.barrier()
    with contestant.mode():
        started = Took(time.perf_counter(), time.process_time())
        for _ in range(calls):
            contestant.call()
        return Took((time.perf_counter() - started.clock) / calls, (time.process_time() - started.work) / calls)


class Costs:
    """What one width gave: by contestant, what the slower process took in each round.

    repeats: for each of several starts, what each process measured.
    """

    def __init__(self, repeats: Sequence[Sequence[dict[str, list[Took]]]]) -> None:
        self.rounds = {
            name: [
                Took(max(took.clock for took in pair), max(took.work for took in pair))
                for start in repeats
                for pair in zip(*(of_process[name] for of_process in start), strict=True)
            ]
            for name in repeats[0][0]
        }

    def step(self, name: str) -> Spread:
        """Milliseconds of a step."""
        return Spread.of([took.clock for took in self.rounds[name]]).scaled(1e3)

    def overhead(self, name: str, kind: str) -> list[float]:
        """What the communication adds to the step in each round, of the clock or the work."""
        both = zip(self.rounds[name], self.rounds[ALONE[name]], strict=True)
        return [getattr(whole, kind) - getattr(alone, kind) for whole, alone in both]

    def ratio(self, name: str, to: str, kind: str) -> Spread:
        """The overhead of one in that of another, of the medians of each fifth of the rounds."""
        above, below = self.overhead(name, kind), self.overhead(to, kind)
        size = max(1, len(above) // 5)
        parts = [slice(at, at + size) for at in range(0, len(above) - size + 1, size)]
        return Spread.of([statistics.median(above[part]) / statistics.median(below[part]) for part in parts])


def compare(report: Report, width: int, effort: Effort) -> None:
    """A table of one width, and what is promised about it."""
    costs = Costs([in_processes(2, times_here, width, effort) for _ in range(effort.processes)])
    rows = []
    for name in costs.rounds:
        more = ["", "", ""]
        if name in ALONE:
            clock, work = (Spread.of(costs.overhead(name, kind)).scaled(1e3) for kind in Took._fields)
            more = [clock.text(), f"{clock.median / costs.step(name).median:.0%}", work.text()]
        rows.append([name, costs.step(name).text(), *more])
    mib = LAYERS * (width + 1) * width * 4 / 2**20
    title = f"Two processes, {LAYERS} linear layers of width {width} ({mib:.1f} MiB of gradients), {ROWS} rows each"
    report.table(title, ["step", "ms", "ms of communication", "of the step", "ms of work for it"], rows)
    for kind in Took._fields:
        what = f"width {width}: overhead by {kind}, {OURS} / {DDP}"
        report.target(Target(what, costs.ratio(OURS, DDP, kind), 1.0, at_least=False, equal_in_quartiles=True))


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    print(processor())
    effort = QUICK if options.quick else FULL
    for width in WIDTHS[:2] if options.quick else WIDTHS:
        compare(report, width, effort)
    compare_counts(report, 10 if options.quick else 100)
    compare_memory(report, (2,) if options.quick else (2, 4))
    report.end()


if __name__ == "__main__":
    main()
