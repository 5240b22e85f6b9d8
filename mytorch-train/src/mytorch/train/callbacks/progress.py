"""The callback that shows progress: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from mytorch.plugins import Callback

if TYPE_CHECKING:
    from torch import Tensor

    from mytorch.train.training import Training

LINES = 50
"""At most so many epochs are printed where there is no terminal."""
BATCH_SECONDS = 0.2
"""The bar moves within an epoch at most this often."""
BAR_WIDTH = 30
PARTS = ("train", "validation", "test")
WIDEST = max(map(len, PARTS))


class Times(ProgressColumn):
    """The time that has passed and, until the end, the time that is left, as far as it can be told."""

    def render(self, task: Task) -> Text:
        """As rich asks for it."""
        passed, left = task.finished_time if task.finished else task.elapsed, task.time_remaining
        if task.finished or left is None:
            return Text(f"{duration(passed or 0.0)} elapsed")
        return Text(f"{duration(passed or 0.0)} elapsed, {duration(left)} left")


class Progress(Callback):
    """Shows the loss, the metrics and the remaining time of one training.

    Without a terminal, a line is printed after each evaluated epoch, or after each of at most 50 of them.
    """

    first_process_only = True
    may_lag = True  # a bar may be a few batches late

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._live: Live | None = None
        self._bar = Bar(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(BAR_WIDTH, finished_style="green"),
            Times(),
            auto_refresh=False,
        )
        self._task = TaskID(0)
        self._batch, self._numbers = Text(), Text()
        self._moved = 0.0
        self._evaluated: Mapping[str, float] = {}
        self._printed = 0

    def training_started(self, run: Training) -> None:
        """Say how memory is saved, and open the bar."""
        self._evaluated, self._printed = {}, run.epoch
        if (chosen := run.notes.get("memory")) is not None:
            self.console.print(f"memory: {chosen}", soft_wrap=True, highlight=False)
        if not self.console.is_terminal:
            return
        self._task = self._bar.add_task("epoch", total=run.last_epoch, completed=run.epoch)
        self._live = Live(Group(self._bar), console=self.console)  # numbers have lines of their own, to fit 80 columns
        self._live.start()

    def training_resumed(self, run: Training) -> None:
        """Start the bar where the run continues."""
        self._printed = run.epoch
        if self._live is not None:
            self._bar.reset(self._task, total=run.last_epoch, completed=run.epoch)

    def batch_ended(self, run: Training, epoch: int, batch: int, loss: Tensor) -> None:
        """Advance the bar within a long epoch."""
        if self._live is None or time.monotonic() - self._moved < BATCH_SECONDS:
            return
        self._moved = time.monotonic()
        count = max(1, len(run.batches))
        self._batch.plain = f"batch {batch}/{count}  loss {loss.item():.4g}"
        self._show(epoch - 1 + batch / count, self._batch, self._numbers)

    def epoch_ended(self, run: Training, epoch: int, record: Mapping[str, float]) -> None:
        """Show the numbers of the epoch."""
        if _is_evaluated(run, record):
            self._evaluated = record
        if self._live is not None:
            self._moved = time.monotonic()
            self._numbers.plain = self._latest(record)
            self._show(epoch, self._numbers)
        elif epoch % _step(run) == 0 or epoch == run.last_epoch:
            self._print(run, record)

    def training_ended(self, run: Training) -> None:
        """Close the bar, and say why the run ended early, if it did."""
        self._close(run)
        if run.test_results is not None:
            self.console.print(test_line(run.test_results), highlight=False, soft_wrap=True)
        if run.hooks.stopped is not None:
            self.console.print(run.hooks.stopped, highlight=False, markup=False, soft_wrap=True)

    def training_failed(self, run: Training) -> None:
        """Close the bar."""
        self._close(run)

    def _latest(self, record: Mapping[str, float]) -> str:
        """A line of numbers for each part of the data, with those of the last evaluation where this epoch has none."""
        older = {name: value for name, value in self._evaluated.items() if name not in record}
        lines = []
        for part in PARTS:
            told, before = [numbers_of(_of_part(one, part)).replace(f"{part} ", "") for one in (record, older)]
            when = f"epoch {self._evaluated['epoch']}: {before}" if before else ""
            if line := "  ".join(filter(None, (told, when))):
                lines.append(f"{part:<{WIDEST}}  {line}")
        return "\n".join(lines)

    def _print(self, run: Training, record: Mapping[str, float]) -> None:
        self._printed = int(record["epoch"])
        line = f"epoch {self._printed:>{len(str(run.last_epoch))}}/{run.last_epoch}  {numbers_of(record)}"
        self.console.print(line, highlight=False, soft_wrap=True)

    def _show(self, done: float, *lines: Text) -> None:
        self._bar.update(self._task, completed=done)
        self._arrange(*lines)

    def _arrange(self, *lines: Text) -> None:
        """Show the bar and below it those lines that are not empty."""
        if self._live is not None:
            self._live.update(Group(self._bar, *(line for line in lines if line.plain)))

    def _close(self, run: Training) -> None:
        """Leave the bar as it stands, or print the last epoch if its line was left out."""
        if self._live is not None:
            self._arrange(self._numbers)
            self._live.stop()
            self._live = None
        elif run.history and run.history[-1]["epoch"] > self._printed:
            self._print(run, run.history[-1])


def _step(run: Training) -> int:
    """Every so many epochs a line is printed: those that are evaluated, or some of them where they are many."""
    return run.evaluate_every * -(-run.epochs // (run.evaluate_every * LINES))


def _of_part(record: Mapping[str, float], part: str) -> dict[str, float]:
    return {name: value for name, value in record.items() if name.startswith(f"{part}_")}


def _is_evaluated(run: Training, record: Mapping[str, float]) -> bool:
    return all(name in record for name in run.columns)


def duration(seconds: float) -> str:
    """A time in whole seconds, minutes and seconds, or hours and minutes."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def numbers_of(record: Mapping[str, float]) -> str:
    """The loss and metrics of a record in one line."""
    shown = [(name, value) for part in PARTS for name, value in _of_part(record, part).items()]
    return "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown)


def test_line(results: Mapping[str, float]) -> str:
    """What the test part says, in one line."""
    numbers = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in results.items())
    return f"test, evaluated once with the final weights: {numbers}"
