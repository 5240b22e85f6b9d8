"""Whether an optimizer's state says all of it, is taken from no other, and whether it calls a closure."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from mytorch.core import ArgumentError, StateError, random_state
from mytorch.testing.compare import same_bits
from mytorch.testing.errors import CheckError
from mytorch.testing.optimizer.trial import OptimizerCase, OptimizerTrial


def state_foreign(case: OptimizerCase) -> None:
    """State of another class, another shape or with unknown entries raises a StateError and changes nothing."""
    trial = OptimizerTrial(case).run(range(2))
    state = trial.optimizer.state_dict()
    unknown = copy.deepcopy(state)
    unknown["state"].setdefault(0, {})["another optimizer's"] = torch.zeros(3, 4, dtype=torch.float64)
    other = (
        OptimizerTrial(case, shapes=tuple(tuple(size + 1 for size in shape) or (7,) for shape in case.shapes))
        .run(range(2))
        .optimizer.state_dict()
    )
    kept = [name for name, kind in trial.optimizer.state_entries.items() if kind in ("value", "rows", "columns")]
    wrong = {
        "of unknown entries": unknown,
        "of another class": {**state, "type": f"Not{type(trial.optimizer).__name__}"},
    }
    if any(name in held for held in other["state"].values() for name in kept):
        wrong["of another shape"] = other
    before = copy.deepcopy(state)
    for what, given in wrong.items():
        try:
            trial.optimizer.load_state_dict(given)
        except StateError:
            pass
        else:
            raise CheckError(f"state {what} must raise a StateError, got none; what would a kernel read from it?")
    if not _same(before, trial.optimizer.state_dict()):
        raise CheckError("state that is refused must change nothing, but it did")


def state_rewinds(case: OptimizerCase) -> None:
    """When values, state and random state are restored, the same step gives the same result."""
    for taken in (0, 3):
        trial = OptimizerTrial(case).run(range(taken))
        values, state, random = trial.values, copy.deepcopy(trial.optimizer.state_dict()), random_state()
        expected = trial.run([taken]).values
        for parameter, value in zip(trial.parameters, values, strict=True):
            parameter.value.copy_(value)
        trial.optimizer.load_state_dict(state)
        random.restore()
        rule = (
            f"be the same when step {taken + 1} is taken again from the state before it; what decides a step must be "
            "in the state, and loading must leave nothing of what was there"
        )
        trial.run([taken]).require_values(expected, rule, rtol=0, atol=0)


def closure(case: OptimizerCase) -> None:
    """step(closure) calls it, uses its gradients and returns its value; where one is needed, step() is refused."""
    trial = OptimizerTrial(case)
    returned: list[Tensor] = []

    def compute() -> Tensor:
        returned.append(trial.give_gradients(0))
        return returned[-1]

    before = trial.values
    result = trial.optimizer.step(compute)
    if not returned:
        raise CheckError("step must call the closure that it is given, but it did not")
    if not any(result is value for value in returned):
        raise CheckError(f"step must return what the closure returned, {returned[0]}, got {result!r}")
    if all(same_bits(old, new) for old, new in zip(before, trial.values, strict=True)):
        raise CheckError("step must go by the gradients that the closure computes, but nothing moved")
    if trial.optimizer.needs_closure:
        _require_refusal(trial)


def _require_refusal(trial: OptimizerTrial) -> None:
    """Raise CheckError unless a step without the closure that it needs raises an ArgumentError."""
    try:
        trial.optimizer.step()
    except ArgumentError:
        return
    raise CheckError("a step without the closure that it needs must raise an ArgumentError, got none")


def unknown_setting(case: OptimizerCase) -> None:
    """A group with a setting that the optimizer does not have raises an ArgumentError that names it."""
    trial = OptimizerTrial(case)
    try:
        case.factory([{"params": trial.parameters, "no_such_setting": 1.0}])
    except ArgumentError as error:
        if "no_such_setting" not in str(error):
            raise CheckError(f"the ArgumentError must name 'no_such_setting', got {str(error)!r}") from None
        return
    raise CheckError("a group with a setting 'no_such_setting' must raise an ArgumentError, got none")


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return same_bits(one, other)
    return type(one) is type(other) and one == other
