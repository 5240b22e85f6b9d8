"""What the training loop costs beside its steps: mytorch.train.fit on the disk data against bare calls of step.

The loop trains the reference network on 1000 points in batches of 100, records to a folder, tells a hook of every
batch and epoch, looks for values that are not finite, and does not evaluate. It is timed from the start of the first
epoch to the end of the last, with the writing of the history. The bare steps are mytorch.train.step on the same
batches, made before. What a run does once (finding plugins, making the folder, describing and saving the model) and
its figures are shown apart: they do not grow with the training.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch
from networks import BATCH, REFERENCE, draw, make
from side_by_side import Measured, Report, Target, arguments, in_process, prepare
from torch.nn import functional as F

from mytorch.data import Disk, TensorDataSet
from mytorch.experiments import Recorder
from mytorch.experiments.callbacks import recorder
from mytorch.experiments.figures.figures import draw_history as draw_figures
from mytorch.plugins import hookimpl
from mytorch.train import Batches, fit, step

ROWS, EPOCHS = 1000, 25
LOOP, STEPS, ONCE, FIGURES = "loop", "bare steps", "once a run", "figures, once a run"
FULL, QUICK = (5, 12), (2, 4)
"""Processes, and rounds in each."""


class Clock:
    """A hook that is called after the others and notes the time."""

    def __init__(self) -> None:
        self.started = self.ended = 0.0
        self.batches = 0

    @hookimpl(trylast=True)
    def training_started(self) -> None:
        self.started = time.perf_counter()

    @hookimpl(trylast=True)
    def batch_ended(self) -> None:
        self.batches += 1

    @hookimpl(trylast=True)
    def epoch_ended(self) -> None:
        self.ended = time.perf_counter()


def measure_here(rounds: int) -> dict[str, list[float]]:
    """Seconds a step of the loop and of bare steps, and seconds of what comes once a run; a value each round."""
    prepare()
    disk = Disk(ROWS)
    data = TensorDataSet(disk.inputs, F.one_hot(disk.targets).float())
    taken: dict[str, list[float]] = {name: [] for name in (LOOP, STEPS, ONCE, FIGURES)}
    for number in range(rounds + 1):
        timed = [partial(run_loop, data), partial(run_steps, data)]
        results = [run() for run in (timed if number % 2 else reversed(timed))]
        (loss, seconds), (other, others) = results
        torch.testing.assert_close(loss, other, rtol=1e-5, atol=1e-7)
        for name, value in (seconds | others).items() if number else ():  # the first round warms up
            taken[name].append(value)
    return taken


def run_loop(data: Any) -> tuple[float, dict[str, float]]:
    """A run of fit: the last epoch's loss, and the times of its parts."""
    net, loss, optimizer = make(draw(REFERENCE, BATCH)[0])
    clock, figures = Clock(), 0.0

    def draw_history(*args: Any) -> Any:
        nonlocal figures
        result, figures = _timed(partial(draw_figures, *args))
        return result

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(recorder, "draw_history", draw_history):
        run = partial(fit, net, loss, optimizer, data, epochs=EPOCHS, batch_size=BATCH, quiet=True)
        training, whole = _timed(partial(run, callbacks=[clock, Recorder(folder, quiet=True)]))
    assert clock.batches == EPOCHS * ROWS // BATCH
    loop = clock.ended - clock.started
    return training.history[-1]["train_loss"], {
        LOOP: loop / clock.batches,
        ONCE: whole - loop - figures,
        FIGURES: figures,
    }


def run_steps(data: Any) -> tuple[float, dict[str, float]]:
    """The same steps without the loop: the last epoch's loss, and the time of a step."""
    net, loss, optimizer = make(draw(REFERENCE, BATCH)[0])
    net.input_grad = False
    order = Batches(data, BATCH, shuffle=True)
    with torch.inference_mode():
        batches = [batch for _ in range(EPOCHS) for batch in order]

        def train() -> list[Any]:
            return [step(net, loss, optimizer, inputs, targets)[0] for inputs, targets in batches]

        losses, seconds = _timed(train)
    return statistics.fmean(map(float, losses[-len(order) :])), {STEPS: seconds / len(batches)}


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    processes, rounds = QUICK if options.quick else FULL
    measured = Measured([in_process(measure_here, rounds) for _ in range(processes)])
    each = [[name, measured.seconds(name).text(1, 1e6), "microseconds a step"] for name in (LOOP, STEPS)]
    once = [[name, measured.seconds(name).text(1, 1e3), "milliseconds"] for name in (ONCE, FIGURES)]
    title = f"{EPOCHS} epochs of {ROWS} rows in batches of {BATCH}"
    report.table(title, ["part", "time (quartiles)", "unit"], each + once)
    report.target(Target(f"{LOOP} / {STEPS}", measured.ratio(LOOP, STEPS), 1.3, at_least=False))
    report.end()


if __name__ == "__main__":
    main()
