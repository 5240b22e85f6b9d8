"""The callback that shows progress: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
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


class Progress(Callback):
    """Shows loss, metrics and the remaining time of one training."""

    may_lag = True  # a bar may be a few batches late

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._live: Live | None = None
        self._bar = Bar(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            auto_refresh=False,
        )
        self._task = TaskID(0)
        self._numbers = Text()
        self._moved = 0.0

    def training_started(self, run: Training) -> None:
        """Open the bar."""
        if not self.console.is_terminal:
            return
        self._task = self._bar.add_task("epoch", total=run.last_epoch, completed=run.epoch)
        self._live = Live(Group(self._bar, self._numbers), console=self.console)  # two lines, to fit 80 columns
        self._live.start()

    def training_resumed(self, run: Training) -> None:
        """Begin the bar where the run goes on."""
        if self._live is not None:
            self._bar.reset(self._task, total=run.last_epoch, completed=run.epoch)

    def batch_ended(self, run: Training, epoch: int, batch: int, loss: Tensor) -> None:
        """Move the bar within a long epoch."""
        if self._live is None or time.monotonic() - self._moved < BATCH_SECONDS:
            return
        self._moved = time.monotonic()
        done = epoch - 1 + batch / max(1, len(run.batches))
        self._show(done, f"loss {loss.item():.4g}")

    def epoch_ended(self, run: Training, epoch: int, record: Mapping[str, float]) -> None:
        """Show the numbers of the epoch."""
        if self._live is not None:
            self._moved = time.monotonic()
            self._show(epoch, numbers_of(record))
        elif epoch % -(-run.epochs // LINES) == 0 or epoch == run.last_epoch:
            line = f"epoch {epoch:>{len(str(run.last_epoch))}}/{run.last_epoch}  {numbers_of(record)}"
            self.console.print(line, highlight=False, soft_wrap=True)

    def training_ended(self, run: Training) -> None:
        """Close the bar, and say why the run ended early if it did."""
        self._close()
        if run.test_results is not None:
            self.console.print(test_line(run.test_results), highlight=False, soft_wrap=True)
        if run.hooks.stopped is not None:
            self.console.print(run.hooks.stopped, highlight=False, markup=False, soft_wrap=True)

    def training_failed(self) -> None:
        """Close the bar."""
        self._close()

    def _show(self, done: float, numbers: str) -> None:
        self._bar.update(self._task, completed=done)
        self._numbers.plain = numbers

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def numbers_of(record: Mapping[str, float]) -> str:
    """The loss and metrics of a record in one line."""
    shown = [(name, value) for name, value in record.items() if name.startswith(("train_", "validation_", "test_"))]
    return "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown)


def test_line(results: Mapping[str, float]) -> str:
    """What the test part says, in one line."""
    numbers = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in results.items())
    return f"test, judged once with the weights that are kept: {numbers}"
