"""Measuring contestants side by side: what all benchmarks share.

The contestants alternate within one process, round by round, so that whatever else the machine does slows all of
them alike; a ratio is taken within a round, its median over the rounds is the process's, and several processes give
the median and the quartiles that are shown. Before anything is timed, all contestants must have given the same losses.
"""

import argparse
import atexit
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch


def hide_the_users_settings() -> None:
    """Neither blocked plugins nor a filled cache of whoever measures may change a figure. Children inherit this."""
    if os.environ.get("MYTORCH_CONFIG") == os.devnull:
        return
    for name in [name for name in os.environ if name.startswith("MYTORCH_")]:
        del os.environ[name]
    folder = tempfile.mkdtemp(prefix="mytorch-benchmark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(MYTORCH_CONFIG=os.devnull, MYTORCH_CACHE=f"{folder}/cache")


hide_the_users_settings()  # now, before anything that reads them is imported

COMPARED = 5
"""Losses of so many steps must agree before the timing."""


@dataclass(frozen=True)
class Contestant:
    """One way to do the work: `call` does it once and returns the loss, or outputs."""

    call: Callable[[], Any]
    inference: bool = False
    """Whether it runs under torch.inference_mode(), entered outside the timing as a training run does."""

    def mode(self) -> Any:
        return torch.inference_mode() if self.inference else nullcontext()


@dataclass(frozen=True)
class Effort:
    """How long to measure: processes, rounds in each, and the seconds of one contestant in one round."""

    processes: int = 5
    rounds: int = 60
    seconds: float = 0.02


KEEP_FREED_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**32), "MALLOC_MMAP_THRESHOLD_": str(2**32)}
"""Settings of glibc. By default it hands large blocks back to the system when they happen to lie on top of the heap,
and whose blocks do is decided by the order in which the contestants started: thousands of page faults a step for one
of them, none for another."""

QUICK = Effort(processes=2, rounds=10, seconds=0.01)


@dataclass(frozen=True)
class Spread:
    """A median between its quartiles."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    def scaled(self, factor: float) -> "Spread":
        """The same in another unit."""
        return Spread(self.low * factor, self.median * factor, self.high * factor)

    def text(self, digits: int = 2, scale: float = 1.0) -> str:
        low, median, high = (f"{value * scale:.{digits}f}" for value in (self.low, self.median, self.high))
        return f"{median} ({low} to {high})"


@dataclass(frozen=True)
class Target:
    """A measured figure and what was promised about it."""

    what: str
    figure: Spread
    limit: float
    at_least: bool
    equal_in_quartiles: bool = False
    """Whether the limit also counts as kept while it lies between the quartiles, as they are printed."""

    @property
    def met(self) -> bool:
        low, high = round(self.figure.low, 2), round(self.figure.high, 2)  # as printed: nothing finer is measured
        if self.equal_in_quartiles and low <= self.limit <= high:
            return True
        return self.figure.median >= self.limit if self.at_least else self.figure.median <= self.limit

    def text(self) -> str:
        rule = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        return f"{'met   ' if self.met else 'MISSED'}  {self.what}: {self.figure.text()}, promised {rule}"


class Measured:
    """Seconds a call, by process, contestant and round."""

    def __init__(self, processes: list[dict[str, list[float]]]) -> None:
        self.processes = processes

    def seconds(self, name: str) -> Spread:
        """One contestant's time."""
        return Spread.of([statistics.median(rounds[name]) for rounds in self.processes])

    def ratio(self, name: str, to: str) -> Spread:
        """How many times the time of `to` a contestant takes."""
        return Spread.of([statistics.median(_ratios(rounds[name], rounds[to])) for rounds in self.processes])

    def fastest(self, names: Sequence[str]) -> str:
        """The contestant with the smallest median."""
        return min(names, key=lambda name: self.seconds(name).median)

    def rows(self, reference: str) -> list[list[str]]:
        """A line for each contestant: microseconds, and its time in the reference's."""
        names = self.processes[0]
        return [
            [name, self.seconds(name).text(1, 1e6), self.ratio(name, reference).text(3 if name != reference else 0)]
            for name in names
        ]


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def measure(build: Callable[..., dict[str, Contestant]], *args: Any, effort: Effort) -> Measured:
    """Measure what `build(*args)`, a function of a module, returns: in new processes, one after the other."""
    return Measured([in_process(measure_here, build, args, effort) for _ in range(effort.processes)])


def in_process(function: Callable[..., Any], *args: Any) -> Any:
    """The function's result, computed in a process of its own."""
    os.environ.update(KEEP_FREED_MEMORY)  # read by the new process when it starts
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def prepare() -> None:
    """One thread; and numbers below 1e-38 count as 0.

    The processor takes a hundred times as long for those, and the velocities of dead units, which shrink for ever when
    one batch is trained on thousands of times, soon are such.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def measure_here(
    build: Callable[..., dict[str, Contestant]], args: tuple[Any, ...], effort: Effort
) -> dict[str, list[float]]:
    """Compare the losses, warm up, and time the contestants in turn."""
    prepare()
    contestants = build(*args)
    require_same_losses(contestants)
    calls = {name: _calls(contestant, effort.seconds) for name, contestant in contestants.items()}
    rounds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(effort.rounds):
        order = list(contestants) if number % 2 else list(reversed(contestants))  # nobody always follows the same one
        for name in order:
            rounds[name].append(_time(contestants[name], calls[name]))
    return rounds


def require_same_losses(contestants: dict[str, Contestant]) -> None:
    """Raise unless all contestants compute the same: the first losses of each are compared with the first one's."""
    expected: list[Any] = []
    for name, contestant in contestants.items():
        with contestant.mode():
            losses = [_comparable(contestant.call()) for _ in range(COMPARED)]
        expected = expected or losses
        try:
            torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-6)
        except AssertionError as error:
            error.add_note(f"The losses of {name} differ from those of the first contestant")
            raise


def _comparable(result: Any) -> Any:
    """A loss as a number; outputs, which are a tensor or a tuple of them, as they are."""
    several = isinstance(result, tuple) or (isinstance(result, torch.Tensor) and result.dim())
    return result if several else float(result)


def _calls(contestant: Contestant, seconds: float) -> int:
    """Warm up, and find out how many calls fill the time of a round."""
    calls = 1
    while (took := _time(contestant, calls) * calls) < seconds / 2:
        calls *= 2
    return max(1, round(calls * seconds / took))


def _time(contestant: Contestant, calls: int) -> float:
    call = contestant.call
    with contestant.mode():
        started = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - started) / calls


def arguments(description: str | None, names: str = "", publish: Path | None = None) -> argparse.Namespace:
    """The options of every benchmark. `names`: what is said of names on the command line, where it takes some;
    `publish`: the page into which it can put its table.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short rounds: shows that it works, not figures")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    if publish is not None:
        parser.add_argument("--publish", action="store_true", help=f"put the table into docs/{publish.name}")
    if names:
        parser.add_argument("names", nargs="*", help=names)
    return parser.parse_args()


def require_known(chosen: Iterable[str], known: Collection[str], what: str, *, beginnings: bool = False) -> None:
    """End the program, with the names that there are, for one on the command line that is none of them.

    beginnings: whether what a name begins with is enough.
    """
    from mytorch.plugins import nearest  # here, so that the settings are hidden before anything is imported

    for name in chosen:
        if not (any(each.startswith(name) for each in known) if beginnings else name in known):
            raise SystemExit(f"{what} must be one of those that are measured, got {name}. {nearest(name, known)}")


class Report:
    """Tables and targets, printed for people as they come, or as JSON at the end."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.tables: list[dict[str, Any]] = []
        self.targets: list[Target] = []

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        self.tables.append({"title": title, "columns": columns, "rows": rows})
        if self.as_json:
            return
        widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
        print(f"\n{title}")
        for row in (columns, *rows):
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def target(self, target: Target) -> None:
        self.targets.append(target)
        if not self.as_json:
            print(f"  {target.text()}", flush=True)

    def end(self) -> None:
        """Print the JSON, if that was asked for."""
        if self.as_json:
            targets = [asdict(target) | {"met": target.met} for target in self.targets]
            print(json.dumps({"torch": torch.__version__, "tables": self.tables, "targets": targets}, indent=2))
