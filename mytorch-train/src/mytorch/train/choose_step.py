"""Which step the options of a training ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer, Quantity, Rule, require_kind
from mytorch.train.accumulate import step_accumulated
from mytorch.train.batches import Batches, count_rows, misfit
from mytorch.train.clip_gradients import require_bound
from mytorch.train.half_precision.half_precision import HalfPrecision, make_precision
from mytorch.train.mean_loss import Weight
from mytorch.train.memory.memory_step import MemoryStep
from mytorch.train.memory.refusals import require_no_other
from mytorch.train.memory.saved_step import SavedStep
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
from mytorch.train.rules.rule_step import RuleStep, require_alone
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
    rule: what makes the gradients in place of backpropagation.
    Raises ArgumentError for what does not go together.
    """
    divided = parallel is not None and shard is not None
    require_level(shard, optimizer, divided)
    micro_batches = choose_micro_batches(stages, micro_batches)
    if parallel is not None:
        _require_shared(own, optimizer_in_backward)
    if clip_sample_norm is not None:
        require_bound("clip_sample_norm:", clip_sample_norm)
    bounds = {"clip_grad_norm": clip_grad_norm, "clip_grad_value": clip_grad_value}
    clipping: dict[str, Any] = {name: bound for name, bound in bounds.items() if bound is not None}
    for name, bound in clipping.items():
        require_bound(f"{name}:", bound)
    if len(clipping) > 1:
        raise ArgumentError(
            f"clip_grad_value: must be left out with clip_grad_norm, got {clip_grad_value} and {clip_grad_norm}: "
            "clip by one of them"
        )
    mixed = make_precision(precision)
    needed = list(optimizer.quantities())
    if needed:
        others = {"clip_sample_norm": clip_sample_norm, "memory": memory, "saved": saved}
        _require_shown(optimizer, own, accumulate, precision, parallel, others, privacy, rule)
        quantities = [*quantities, *needed]
    asked = {"quantities": quantities or None, "clip_sample_norm": clip_sample_norm, "privacy": privacy}
    others_of_memory = {**asked, "rule": rule, "precision": precision, "parallel": parallel}
    require_no_other("saved", saved, own, others_of_memory)
    require_no_other("memory", memory, own, {"saved": saved, **others_of_memory})
    for name, option in asked.items():
        if option is not None:
            _require_watchable(name, option, own, accumulate, precision, parallel)
    others = {**clipping, **({"optimizer_in_backward": True} if optimizer_in_backward else {})}
    if rule is not None:
        _require_rule_alone(rule, optimizer, asked, own, optimizer_in_backward, accumulate, precision, parallel)
        return RuleStep(rule, **clipping)
    if privacy is not None:
        require_kind("fit", "privacy", privacy, Privacy)
        _require_clipping("privacy", privacy, optimizer, {**others, **_given("clip_sample_norm", clip_sample_norm)})
        assert batches is not None
        batches.generator.manual_seed(privacy.draw_seed(0))
        return PrivateStep(privacy, batches.batch_size, len(batches.data), quantities)
    if clip_sample_norm is not None:
        _require_clipping("clip_sample_norm", clip_sample_norm, optimizer, others)
        return ClippedStep(clip_sample_norm, quantities)
    if own is not None:
        return _own_step(own, clipping, optimizer_in_backward, accumulate, mixed)
    if optimizer.needs_closure:
        raise ArgumentError(
            f"step: must be a function of your own for {type(optimizer).__name__}, which evaluates the loss several "
            "times in a step, got none; take another optimizer, or train in Python with fit(step=...)"
        )
    if optimizer_in_backward:
        return _around(_in_backward(optimizer, clipping, accumulate, mixed), quantities, memory, saved)
    plain = step if accumulate == 1 else step_accumulated
    options = clipping if mixed is None else {**clipping, "precision": mixed}
    chosen = partial(plain, **options) if options else plain
    if parallel is None:
        return _around(chosen, quantities, memory, saved)
    if count_stages(stages) > 1:
        place_of(parallel, stages)
        _require_staged(optimizer, precision, shard)
        return PipelineStep(chosen, parallel, stages, micro_batches)
    if shard is None:
        return ParallelStep(chosen, Reducer(parallel))
    shards = Shards(parallel, shard)
    return ParallelStep(chosen, ShardedReducer(shards, _update_of(shard, clipping, mixed)), shards)


def _require_shown(
    optimizer: Optimizer,
    own: Callable[..., Any] | None,
    accumulate: int,
    precision: str | None,
    parallel: Processes | None,
    others: dict[str, Any],
    privacy: Privacy | None,
    rule: Any,
) -> None:
    """Raise ArgumentError for what cannot show an optimizer the quantities that it needs."""
    given = {
        "a step of your own": own is not None,
        f"accumulate = {accumulate}": accumulate > 1,
        f"precision = {precision!r}": precision is not None,
        "several processes": parallel is not None,
        **{f"{name} = {value!r}": value is not None for name, value in others.items()},
        "privacy": privacy is not None,
        "a learning rule": rule is not None,
    }
    for option, is_given in given.items():
        if is_given:
            raise ArgumentError(
                f"{type(optimizer).__name__}: must be left out with {option}, since it must be shown the backward "
                "pass of the whole batch in every step; take another optimizer, or leave this out"
            )


def _require_rule_alone(
    rule: Any,
    optimizer: Optimizer,
    asked: dict[str, Any],
    own: Callable[..., Any] | None,
    optimizer_in_backward: bool,
    accumulate: int,
    precision: str | None,
    parallel: Processes | None,
) -> None:
    one_backward = "which needs the backward pass of backpropagation"
    reasons = {
        "a step of your own": (own is not None, "which makes its own gradients"),
        **{name: (option is not None, one_backward) for name, option in asked.items()},
        "optimizer_in_backward": (optimizer_in_backward, one_backward),
        f"accumulate = {accumulate}": (accumulate > 1, "which weighs the gradients of several backward passes"),
        f"precision = {precision!r}": (precision is not None, "whose layers are given other values"),
        "several processes": (parallel is not None, "which add up the gradients of a backward pass"),
    }
    require_alone(rule, optimizer, reasons)


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


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _require_clipping(name: str, asked: Any, optimizer: Optimizer, others: dict[str, Any]) -> None:
    """Raise ArgumentError for what does not go together with bounds of the gradients of single samples."""
    for option, value in others.items():
        raise ArgumentError(
            f"{name}: must be left out with {option}, got {asked} and {option} = {value}: the norms of samples are "
            "known when the backward pass has ended, and bound the gradient; leave one of the two out"
        )
    if optimizer.needs_closure:
        raise ArgumentError(
            f"{name}: must be left out with {type(optimizer).__name__}, which evaluates the loss several times in a "
            f"step, got {asked}; take another optimizer"
        )


def _require_watchable(
    name: str,
    asked: Any,
    own: Callable[..., Any] | None,
    accumulate: int,
    precision: str | None,
    parallel: Processes | None,
) -> None:
    if isinstance(asked, Sequence):
        for quantity in asked:
            require_kind("quantities", "each", quantity, Quantity)
        asked = ", ".join(type(quantity).__name__ for quantity in asked)
    reasons = {
        "a step of your own": (own is not None, "which may take any number of backwards"),
        f"accumulate = {accumulate}": (accumulate > 1, "whose backwards each see a part of the gradient"),
        f"precision = {precision!r}": (precision is not None, "whose layers are given other values"),
        "several processes": (parallel is not None, "of which each sees the gradients of its own rows"),
    }
    for option, (given, why) in reasons.items():
        if given:
            raise ArgumentError(
                f"{name}: must be left out with {option}, {why}, got {asked}; leave one of the two out"
            )


def _require_shared(own: Callable[..., Any] | None, optimizer_in_backward: bool) -> None:
    if own is not None:
        raise ArgumentError(
            f"step: must be left out with several processes, whose gradients are added up within the step, got "
            f"{name_of(own)}; train in one process, or leave the step out"
        )
    if optimizer_in_backward:
        raise ArgumentError(
            "optimizer_in_backward: must be left out with several processes, whose gradients are complete after the "
            'backward pass, got True; leave it out, and use shard = "gradients" to update within the backward'
        )


def _require_staged(optimizer: Optimizer, precision: str | None, shard: str | None) -> None:
    """Raise ArgumentError for what needs all stages in one process."""
    if shard is not None:
        raise ArgumentError(
            f"shard: must be left out with stages, each of which has the optimizer's state of its layers alone, got "
            f"{shard!r}; leave one of the two out"
        )
    if precision is not None:
        raise ArgumentError(
            f"precision: must be left out with stages, between which numbers travel as they are, got {precision!r}; "
            "leave one of the two out"
        )
    try:
        optimizer.require_steps_apart()
    except ArgumentError as error:
        raise ArgumentError(f"stages: {error}; leave stages out") from None


def _in_backward(
    optimizer: Optimizer, clipping: dict[str, Any], accumulate: int, precision: HalfPrecision | None
) -> TakeStep:
    if "clip_grad_norm" in clipping:
        raise ArgumentError(
            "optimizer_in_backward: must be left out with clip_grad_norm, got clip_grad_norm = "
            f"{clipping['clip_grad_norm']}: the norm over all gradients is not known before the backward pass has "
            "ended; leave one of the two out"
        )
    if accumulate > 1:
        raise ArgumentError(
            f"optimizer_in_backward: must be left out with accumulate, got accumulate = {accumulate}: a gradient is "
            "complete only after the last of the batches; leave one of the two out"
        )
    if precision is not None:
        why = ": the values that are updated are not those that the backward pass computes with"
        raise ArgumentError(
            f"optimizer_in_backward: must be left out with precision, got precision = {precision}"
            f"{why if precision.mixed else ''}; leave one of the two out"
        )
    try:
        optimizer.require_steps_apart()
    except ArgumentError as error:
        raise ArgumentError(f"optimizer_in_backward: {error}; leave optimizer_in_backward out") from None
    return partial(step_in_backward, **clipping) if clipping else step_in_backward


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


def name_of(take_step: TakeStep) -> str:
    """The name of a step, for errors."""
    return getattr(take_step, "__name__", type(take_step).__name__)


def _own_step(
    own: Callable[..., Any],
    clipping: dict[str, Any],
    optimizer_in_backward: bool,
    accumulate: int,
    precision: HalfPrecision | None,
) -> TakeStep:
    if not callable(own):
        raise ArgumentError(
            f"step: must be a function of (net, loss, optimizer, inputs, targets), got {type(own).__name__}"
        )
    if problem := misfit(own, None, None, None, None, None):
        raise ArgumentError(
            f"step: must be a function of (net, loss, optimizer, inputs, targets), got {name_of(own)}, to which these "
            f"cannot be passed: {problem}"
        )
    options = ["optimizer_in_backward"] * optimizer_in_backward + list(clipping) + ["accumulate"] * (accumulate > 1)
    options += ["precision"] * (precision is not None)
    if options:
        raise ArgumentError(
            f"{options[0]}: must be left out with a step of your own, got {name_of(own)}, which does the whole step; "
            "do it there, or leave the step out"
        )
    return own if own is step or own is step_in_backward else OwnStep(own)


@dataclass(frozen=True)
class OwnStep:
    """A user's step; what it returns is looked at, and without a weight the rows count."""

    taken: Callable[..., Any]

    @property
    def __name__(self) -> str:
        return name_of(self.taken)

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError unless it returns a loss, or a loss and a weight."""
        result = self.taken(net, loss, optimizer, inputs, targets)
        value, weight = result if isinstance(result, tuple) and len(result) == 2 else (result, count_rows(targets))
        if not (_is_number(value) and _is_number(weight)):
            raise ArgumentError(
                f"step: {name_of(self.taken)} must return the loss, one number, or a pair of the loss and its weight, "
                f"got {_told(result)}"
            )
        return torch.as_tensor(value), weight


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dim() == 0
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _told(result: Any) -> str:
    if isinstance(result, tuple):
        return f"({', '.join(map(_told, result))})"
    return f"a tensor of {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
