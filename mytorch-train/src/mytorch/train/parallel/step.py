"""A training step that several processes take together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from mytorch.core import Module, Optimizer, add_path
from mytorch.plugins import one_line
from mytorch.train.accumulate import part_of_mean, step_accumulated
from mytorch.train.around_step import AroundStep
from mytorch.train.batches import count_rows
from mytorch.train.completion import completion
from mytorch.train.errors import RankError
from mytorch.train.gradients import forward, gradients, loss_gradient
from mytorch.train.half_precision.half_precision import HalfPrecision
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.parallel.processes import Processes
from mytorch.train.parallel.reducer import Reducer
from mytorch.train.parallel.sharded_reducer import ShardedReducer
from mytorch.train.parallel.shards import Shards
from mytorch.train.parallel.totals import mean_of
from mytorch.train.step import update


@dataclass(frozen=True)
class ParallelStep(AroundStep):
    """Takes the step that `plain` takes on the whole batch, where each process is given its rows of it.

    Gradients of each process are those of its rows times their weight in means over batches; they are added up over
    the processes, while the backward goes on, and divided by the sum of the weights. So processes may have different
    numbers of rows, or none. What a layer computes over a batch, as batch normalisation does, it computes over the
    rows of its process, unless it asks the other processes itself, as SyncBatchNorm does.
    A step that fails in one process fails in all, where no layer asks others: the rest raises RankError.

    plain: `step` or `step_accumulated`, with their options.
    reducer: adds up the gradients.
    shards: what this process updates, where the processes divide that.
    Returns the loss over the whole batch and its weight; the parameters are the same on all processes.
    """

    plain: Callable[..., Any]
    reducer: Reducer | ShardedReducer
    shards: Shards | None = None

    @property
    def processes(self) -> Processes:
        """Those that take the step."""
        return self.reducer.processes

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step."""
        batches = [*zip(inputs, targets, strict=True)] if self.func is step_accumulated else [(inputs, targets)]
        error: BaseException | None = None
        counts = [count_rows(x if t is None else t) for x, t in batches]
        seen: list[tuple[Tensor, Weight]] = []
        trained = self.reducer.begin(optimizer, len(batches), all(counts))
        try:
            for number, (x, t) in enumerate(batches, 1):
                if number > 1:
                    self.reducer.end_pass()
                if not counts[number - 1] and _is_alone(net):
                    continue
                travel = completion(net, trained, self.reducer.tell, "parallel")
                travels = self.reducer.each_pass or number == len(batches)
                with travel if travels and self.reducer.overlaps else nullcontext(), self.reducer.gathering(net):
                    take = self._take_gradients(loss, seen, number == len(batches))
                    seen.append(take(net, loss, x, t, weighted=True))
        except BaseException as caught:
            if isinstance(caught, Exception):
                add_path(caught, net)
            if isinstance(caught, RankError):
                raise
            if not (_is_alone(net) and self.reducer.goes_on):
                if isinstance(caught, RuntimeError) and "gloo" in str(caught):  # a layer that waited in vain
                    raise self.reducer.processes.lost(caught) from caught
                raise  # the training leaves the others, who may wait in such a layer
            error = caught
        value, weight = self._joint(seen, sums(loss), error)
        with nullcontext() if self.shards is None else self.shards.in_place():
            update(optimizer, **self.keywords, norm=None if self.shards is None else self.shards.norm)
        self.reducer.release()
        if self.shards is not None:
            self.shards.gather()
        return value, weight

    def _take_gradients(
        self, loss: Module, seen: Sequence[tuple[Tensor, Weight]], last: bool
    ) -> Callable[..., tuple[Tensor, Weight]]:
        """How the gradients of a batch are computed, after those that were seen."""
        precision: HalfPrecision | None = self.keywords.get("precision")
        if precision is not None:
            return precision.gradients
        updates = self.reducer.updates if isinstance(self.reducer, ShardedReducer) and last else None
        if updates is None or sums(loss):
            return gradients
        before, weigh = sum(weight for _, weight in seen), updates.weigh
        return partial(_weighed_gradients, lambda weight: weigh(before + weight))

    def _joint(
        self, seen: Sequence[tuple[Tensor, Weight]], summed: bool, error: BaseException | None
    ) -> tuple[Tensor, Weight]:
        """The loss over all rows and its weight; the sums of the gradients are left in the parameters."""
        weights = [weight for _, weight in seen]
        total = sum(part_of_mean(value, weight, summed) for value, weight in seen)
        value, weight, failed = self.reducer.finish(total, sum(weights), error is not None, not summed)
        if failed:
            if self.shards is not None and self.shards.level == "gradients":
                self.shards.gather()  # some may be updated: processes leave with the same values
            require_none_failed(self.reducer.processes, error)
        return mean_of(value, weight, summed), weight


def _weighed_gradients(
    tell: Callable[[Weight], object], net: Module, loss: Module, inputs: Any, targets: Any, *, weighted: bool
) -> tuple[Tensor, Weight]:
    """As `gradients`, with the weight of the batch told before the backward."""
    prediction, saved = forward(net, inputs)
    value, weight, d_prediction = loss_gradient(loss, prediction, targets, weighted=weighted)
    tell(weight)
    del prediction
    net.backward(d_prediction.pop(), saved)
    return value, weight


def _is_alone(net: Module) -> bool:
    """Whether no layer asks the other processes."""
    return not any(getattr(module, "asks_processes", False) for module in net.modules())


def require_none_failed(processes: Processes, error: BaseException | None) -> None:
    """Raise this process's error or, on one without any, a RankError that tells of the first one of the others."""
    told = processes.gather(None if error is None else _said(error))
    processes.known = processes.joint = error
    if error is not None:
        raise error
    rank, text = next((rank, text) for rank, text in enumerate(told) if text is not None)
    processes.joint = RankError(
        f"parallel: every process must take the step, got rank {rank} that failed: {text}", rank, text
    )
    raise processes.joint


def _said(error: BaseException) -> str:
    """What the other processes are told of an error, whose own text may be empty or fail."""
    if isinstance(error, (Exception, SystemExit)):
        return f"{type(error).__name__}: {one_line(error)}"
    return str(error) or type(error).__name__  # Ctrl-C, or what ends a search, which says only where
