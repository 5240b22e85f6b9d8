"""What an epoch costs beside its steps: whole runs of mytorch.train.fit, quiet, with either engine.

The reference network trains on 1000 rows, ten steps an epoch, and on 10,000, a hundred steps. A step is the
difference of the two epochs divided by the difference of their steps, so that it includes its share of drawing the
order and gathering the rows; an epoch's cost is what is left of ten steps' time. With a validation part, or with a
metric, which is taken over the training part, too, the model's outputs, the loss and the metric's counts must be
computed in any case: in other runs a callback computes them alone, on whole parts, and that much is subtracted.
All times are of the processor, on one thread, which other work on the machine lengthens less than those of a clock,
and those of the fastest epoch.
"""

import statistics
import sys
import time
from itertools import pairwise
from typing import Any

from alone import run_alone
from networks import BATCH, REFERENCE, draw, make
from results import Row, Section
from side_by_side import Spread, Target, in_process, prepare
from torch.nn import functional as F

from mytorch.data import Disk, TensorDataSet
from mytorch.plugins import Callback
from mytorch.train import fit
from mytorch.train.metrics import ErrorRate

ENGINES = ("eager", "compiled")
SHORT, LONG = 10, 100
"""Steps an epoch."""
EPOCHS = {SHORT: 200, LONG: 30}
WARM_UP = 4
"""Epochs that are not counted: the first ones compile."""
NOTHING, LOSS, METRIC = JUDGED = ("nothing", "validation", "validation and a metric")
VALIDATION = 500
"""Rows of the validation part."""
LIMIT = 2.0
"""Steps that an epoch may cost."""


class Clock(Callback):
    """Notes when epochs end; and computes what judges an epoch, if that is to be timed alone."""

    def __init__(self, net: Any, loss: Any, judged: str) -> None:
        self.net, self.loss, self.judged = net, loss, judged
        self.training, self.validation = _rows(SHORT * BATCH), _rows(VALIDATION)
        self.metric = ErrorRate()
        self.metric.outputs = loss.outputs
        self.ends: list[float] = []

    def epoch_trained(self) -> None:
        if self.judged == NOTHING:
            return
        prediction = self.net(self.validation.inputs)
        self.loss(prediction, self.validation.targets).item()
        if self.judged == METRIC:
            self._count(prediction, self.validation.targets)
            self._count(self.net(self.training.inputs), self.training.targets)

    def _count(self, prediction: Any, targets: Any) -> None:
        self.metric.reset()
        self.metric.update(prediction, targets)
        self.metric.compute()

    def epoch_ended(self) -> None:
        self.ends.append(time.process_time())


def measure_here(engine: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step, and of an epoch beside its steps, by what it is judged; a value a round."""
    prepare()
    found: dict[str, list[float]] = {name: [] for name in ("step", *JUDGED)}
    for number in range(rounds + 1):
        bare = {judged: _epoch(engine, SHORT, computes=judged) for judged in JUDGED}
        step = (_epoch(engine, LONG) - bare[NOTHING]) / (LONG - SHORT)
        beside = {NOTHING: bare[NOTHING] - SHORT * step}
        beside |= {j: _epoch(engine, SHORT, judged=j) - bare[j] + beside[NOTHING] for j in (LOSS, METRIC)}
        for name, seconds in {"step": step, **beside}.items() if number else ():  # the first round compiles
            found[name].append(seconds)
    return found


def _epoch(engine: str, steps: int, judged: str = NOTHING, computes: str = NOTHING) -> float:
    """Seconds of the fastest epoch of a run, from the end of the one before it.

    judged: what `fit` does; computes: what a callback does of it.
    """
    net, loss, optimizer = make(draw(REFERENCE, BATCH)[0])
    clock = Clock(net, loss, computes)
    options: dict[str, Any] = {"epochs": EPOCHS[steps], "batch_size": BATCH, "engine": engine, "quiet": True}
    options |= {} if judged == NOTHING else {"validation": _rows(VALIDATION)}
    options |= {"metrics": [ErrorRate()]} if judged == METRIC else {}
    fit(net, loss, optimizer, _rows(steps * BATCH), callbacks=[clock], **options)
    return min(after - before for before, after in pairwise(clock.ends[WARM_UP:]))


def _rows(count: int) -> TensorDataSet:
    disk = Disk(count)
    return TensorDataSet(disk.inputs, F.one_hot(disk.targets).float())


def sections(quick: bool) -> list[Section]:
    """A section for each engine."""
    return [_section(engine, quick) for engine in ENGINES]


def _section(engine: str, quick: bool) -> Section:
    processes = [in_process(measure_here, engine, 2 if quick else 6) for _ in range(1 if quick else 5)]
    text = f"The reference network in batches of {BATCH}, engine {engine}; epochs of {SHORT} and {LONG} steps."
    section = Section(f"epochs-{engine}", f"An epoch beside its steps, {engine}", text, "microseconds")
    medians = [{name: statistics.median(values) for name, values in one.items()} for one in processes]
    for name in ("step", *JUDGED):
        label = "a step" if name == "step" else f"an epoch beside its steps, judged by {name}"
        section.rows.append(Row(label, Spread.of([1e6 * one[name] for one in medians])))
    for name in JUDGED:
        ratio = Spread.of([one[name] / one["step"] for one in medians])
        section.targets.append(Target(f"{engine}, judged by {name}: epoch / step", ratio, LIMIT, at_least=False))
    return section


if __name__ == "__main__":
    sys.exit(run_alone(sections, __doc__))
