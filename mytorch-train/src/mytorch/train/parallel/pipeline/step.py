"""A training step that is taken by a pipeline of processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer
from mytorch.core.batch import Batch
from mytorch.train.accumulate import inverse, part_of_mean, step_accumulated
from mytorch.train.around_step import AroundStep
from mytorch.train.batches import count_rows, cut_out
from mytorch.train.clip_gradients import gradients_of
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.parallel.pipeline.cut import Stages
from mytorch.train.parallel.pipeline.passes import Passes
from mytorch.train.parallel.pipeline.stage import Stage
from mytorch.train.parallel.pipeline.times import Timed
from mytorch.train.parallel.processes import Processes
from mytorch.train.parallel.step import require_none_failed
from mytorch.train.parallel.totals import Totals, mean_of
from mytorch.train.step import update


@dataclass
class PipelineStep(AroundStep):
    """Takes the step that `plain` takes on the whole batch, where each process has some of the layers.

    A batch is cut into micro-batches, which go through the stages one after the other. Each forward returns what its
    backward needs, so several of them are in flight. Gradients are weighted as in `ParallelStep`. What a layer
    computes over a batch, as batch normalisation does, it computes over each micro-batch.
    Where there are several processes for a stage, each takes its rows of every batch.

    plain: `step` or `step_accumulated`, with their options.
    stages: their number, or the number of layers of each.
    micro_batches: into so many parts each batch is cut, of rows as equal as can be; fewer of a batch with fewer rows.
    times: what this process computed in the last step, and when.
    """

    plain: Callable[..., Any]
    processes: Processes
    stages: Stages
    micro_batches: int
    times: list[Timed] = field(default_factory=list, init=False)
    _stage: Stage | None = field(default=None, init=False, repr=False)
    _ended: float | None = field(default=None, init=False, repr=False)

    @property
    def shards(self) -> Stage | None:
        """What this process keeps of the optimizer's state: that of its stage."""
        return self._stage

    def stage_of(self, net: Module, loss: Module) -> Stage:
        """The stage of this process. Raises ArgumentError for a net that cannot be shared out, or that has changed."""
        if self._stage is None or not self._stage.fits(net, loss):
            if self._stage is not None and not self._stage.values.whole:
                raise ArgumentError(
                    f"stages: the layers of {type(net).__name__} must stay those that the training began with, got "
                    "others; change them between two trainings"
                )
            self._stage = Stage(self.processes, net, loss, self.stages)
        return self._stage

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step."""
        stage = self.stage_of(net, loss)
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.trainable]
        device = trained[0].value.device if trained else torch.device("cpu")
        stage.connect(device)
        batches = [*zip(inputs, targets, strict=True)] if self.func is step_accumulated else [(inputs, targets)]
        started = time.perf_counter()
        passes = Passes(stage, loss, self._cut(batches), self._ended or started)
        passes.take()
        stage.add_up(trained)
        value, weight = self._joint(passes, sums(loss), device)
        self.times, self._ended = passes.times, time.perf_counter()
        if not sums(loss) and (grads := gradients_of(optimizer)):
            torch._foreach_mul_(grads, inverse(weight, value.dtype))
        update(optimizer, **self.keywords, norm=stage.norm)
        return value, weight

    def _cut(self, batches: list[Batch]) -> list[Batch]:
        """The micro-batches, none of them without rows."""
        found = []
        for inputs, targets in batches:
            rows = count_rows(inputs if targets is None else targets)
            found += cut_rows((inputs, targets), rows, self.micro_batches)
        return found

    def _joint(self, passes: Passes, summed: bool, device: torch.device) -> tuple[Tensor, Weight]:
        """The loss over all rows and its weight. Raises what failed here, or a RankError for a failure elsewhere."""
        total = sum(part_of_mean(value, weight, summed) for value, weight in passes.seen)
        weights = sum(weight for _, weight in passes.seen)
        failed = passes.error is not None
        value, weight, some_failed, _ = Totals(self.processes, total, weights, failed, (), device).wait()
        if some_failed:
            require_none_failed(self.processes, passes.error)
        return mean_of(value, weight, summed), weight


def cut_rows(batch: Batch, rows: int, parts: int) -> list[Batch]:
    """A batch in so many parts, of rows as equal as can be; as many as rows, if there are fewer."""
    parts = min(parts, rows)
    if parts < 2:
        return [batch][:parts]
    ends = [rows * part // parts for part in range(parts + 1)]
    return [cut_out(batch, begin, end - begin) for begin, end in pairwise(ends)]
