"""Which step the options of a training ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mytorch.core import ArgumentError, Optimizer, Quantity, Rule, require_kind
from mytorch.train.accumulate import step_accumulated
from mytorch.train.batches import Batches
from mytorch.train.clip_gradients import require_bound
from mytorch.train.exclusions import require_together
from mytorch.train.half_precision.half_precision import HalfPrecision, make_precision
from mytorch.train.memory.memory_step import MemoryStep
from mytorch.train.memory.saved_step import SavedStep
from mytorch.train.memory.weights_step import WeightsStep
from mytorch.train.own_step import own_step
from mytorch.train.parallel.pipeline.cut import Stages, choose_micro_batches, count_stages
from mytorch.train.parallel.pipeline.stage import place_of
from mytorch.train.parallel.pipeline.step import PipelineStep
from mytorch.train.parallel.processes import Processes
from mytorch.train.parallel.reducer import Reducer
from mytorch.train.parallel.sharded_reducer import ShardedReducer
from mytorch.train.parallel.shards import Shards, require_level
from mytorch.train.parallel.step import ParallelStep
from mytorch.train.parallel.updates import Update
from mytorch.train.privacy.privacy import Privacy
from mytorch.train.privacy.private_step import PrivateStep
from mytorch.train.quantities.clipped_step import ClippedStep
from mytorch.train.quantities.watched_step import WatchedStep
from mytorch.train.rules.rule_step import RuleStep
from mytorch.train.setup import TakeStep
from mytorch.train.step import step
from mytorch.train.step_in_backward import step_in_backward, update_only


def choose_step(
    optimizer: Optimizer,
    clip_grad_norm: float | None = None,
    optimizer_in_backward: bool = False,
    own: Callable[..., Any] | None = None,
    *,
    clip_grad_value: float | None = None,
    accumulate: int = 1,
    precision: str | None = None,
    parallel: Processes | None = None,
    shard: str | None = None,
    stages: Stages = 1,
    micro_batches: int | None = None,
    quantities: Sequence[Quantity] = (),
    clip_sample_norm: float | None = None,
    privacy: Privacy | None = None,
    batches: Batches | None = None,
    memory: int | str | None = None,
    saved: str | None = None,
    weights: str | None = None,
    rule: Rule | None = None,
) -> TakeStep:
    """The step of these options; the plain one without any.

    own: a user's step, which does all of it: (net, loss, optimizer, inputs, targets) -> value, or (value, weight).
    precision: "bfloat16-mixed", "float16-mixed" or "bfloat16", in which gradients are computed.
    accumulate: above 1, the step takes lists of batches, as `Batches(..., accumulate=...)` gives them.
    parallel: the processes that take the step together.
    shard: what they divide among them, "optimizer", "gradients" or "parameters"; nothing in one process.
    stages, micro_batches: of a pipeline of these processes, as `PipelineStep` has them; without them each has all.
    quantities: what the step shows its gradients to.
    clip_sample_norm: the bound of the norm of the gradient of every single sample.
    privacy: what makes the step differentially private; with the batches that it is given.
    memory: the most that layers may save for the backward pass, in bytes or such as "2 GiB".
    saved: how this is stored between the passes, "bfloat16", "int8" or "disk".
    weights: "disk", where values and the optimizer's state lie; they are then updated in the backward pass.
    rule: what makes the gradients in place of backpropagation.
    Raises ArgumentError for what does not go together.
    """
    require_level(shard, optimizer, divided=parallel is not None and shard is not None)
    micro_batches = choose_micro_batches(stages, micro_batches)
    staged = parallel is not None and count_stages(stages) > 1
    bounds = {"clip_grad_norm": clip_grad_norm, "clip_grad_value": clip_grad_value}
    _require_values({**bounds, "clip_sample_norm": clip_sample_norm}, quantities, privacy, rule)
    mixed = make_precision(precision)
    needed = list(optimizer.quantities())
    asked = {
        **bounds,
        "step": own,
        "accumulate": accumulate if accumulate > 1 else None,
        "precision": precision,
        "parallel": parallel,
        "shard": shard,
        "stages": stages if staged else None,
        "optimizer": optimizer if needed else None,
        "closure": optimizer if optimizer.needs_closure else None,
        "optimizer_in_backward": optimizer_in_backward or None,
        "quantities": quantities or None,
        "clip_sample_norm": clip_sample_norm,
        "privacy": privacy,
        "memory": memory,
        "saved": saved,
        "weights": weights,
        "rule": rule,
    }
    require_together({name: value for name, value in asked.items() if value is not None})
    quantities = [*quantities, *needed]
    clipping = {name: bound for name, bound in bounds.items() if bound is not None}
    options = clipping if mixed is None else {**clipping, "precision": mixed}
    if rule is not None:
        return RuleStep(rule, accumulate > 1, **options)
    if privacy is not None:
        assert batches is not None
        batches.generator.manual_seed(privacy.draw_seed(0))
        return PrivateStep(privacy, batches.batch_size, len(batches.data), quantities)
    if clip_sample_norm is not None:
        return ClippedStep(clip_sample_norm, quantities)
    if own is not None:
        return own_step(own)
    if optimizer.needs_closure:
        raise ArgumentError(
            f"step: must be a function of your own for {type(optimizer).__name__}, which evaluates the loss several "
            "times in a step, got none; take another optimizer, or train in Python with fit(step=...)"
        )
    if weights is not None:
        on_disk = WeightsStep(_in_backward("weights", optimizer, clipping), weights)
        return _around(on_disk, quantities, memory, saved)
    if optimizer_in_backward:
        early = _in_backward("optimizer_in_backward", optimizer, clipping)
        return _around(early, quantities, memory, saved)
    plain = step if accumulate == 1 else step_accumulated
    chosen = partial(plain, **options) if options else plain
    if parallel is None:
        return _around(chosen, quantities, memory, saved)
    if staged:
        place_of(parallel, stages)
        _require_steps_apart("stages", optimizer)
        return PipelineStep(chosen, parallel, stages, micro_batches)
    if shard is None:
        return ParallelStep(chosen, Reducer(parallel))
    shards = Shards(parallel, shard)
    return ParallelStep(chosen, ShardedReducer(shards, _update_of(shard, clipping, mixed)), shards)


def _require_values(bounds: Mapping[str, Any], quantities: Sequence[Quantity], privacy: Any, rule: Any) -> None:
    """Raise ArgumentError for a bound that is no number above 0, and for what is of another kind than it should be."""
    for name, bound in bounds.items():
        if bound is not None:
            require_bound(f"{name}:", bound)
    for quantity in quantities:
        require_kind("quantities", "each", quantity, Quantity)
    if privacy is not None:
        require_kind("fit", "privacy", privacy, Privacy)
    if rule is not None:
        require_kind("fit", "rule", rule, Rule)


def _update_of(shard: str, clipping: Mapping[str, Any], precision: HalfPrecision | None) -> Update | None:
    """How processes that divide gradients update within the backward; None where all gradients are needed at once.

    These are the norm over all of them, a loss scale that depends on all, and values that are copies while layers
    compute.
    """
    at_once = "clip_grad_norm" in clipping or precision is not None
    return None if shard != "gradients" or at_once else partial(update_only, **clipping)


def _around(
    take_step: TakeStep, quantities: Sequence[Quantity], memory: int | str | None, saved: str | None
) -> TakeStep:
    if saved is not None:
        return SavedStep(take_step, saved)
    if memory is not None:
        return MemoryStep(take_step, memory)
    return WatchedStep(take_step, quantities) if quantities else take_step


def _in_backward(option: str, optimizer: Optimizer, clipping: dict[str, Any]) -> TakeStep:
    _require_steps_apart(option, optimizer)
    return partial(step_in_backward, **clipping) if clipping else step_in_backward


def _require_steps_apart(option: str, optimizer: Optimizer) -> None:
    """Raise ArgumentError for an optimizer that must update all parameters at once."""
    try:
        optimizer.require_steps_apart()
    except ArgumentError as error:
        raise ArgumentError(f"{option}: {error}; leave {option} out") from None


def is_plain(take_step: TakeStep) -> bool:
    """Whether it is `step` or `step_accumulated`, with or without clipping: one function of all gradients, which can
    be traced.
    """
    return _function(take_step) in (step, step_accumulated)


def is_in_backward(take_step: TakeStep) -> bool:
    """Whether it updates during the backward pass, with or without clipping."""
    return _function(take_step) is step_in_backward


def _function(take_step: TakeStep) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(take_step, "func", take_step)
    return found
