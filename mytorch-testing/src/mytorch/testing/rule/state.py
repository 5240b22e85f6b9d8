"""Whether the state of a learning rule says all of what decides how a training goes on."""

from __future__ import annotations

from mytorch.testing.compare import same_bits
from mytorch.testing.errors import CheckError
from mytorch.testing.plain import foreign
from mytorch.testing.rule.trial import RuleCase, Trial

STEPS = (1, 4)
"""After so many steps, a training is gone on with by another rule."""


def plain_state(case: RuleCase) -> None:
    """state_dict returns what a checkpoint can hold: dicts, lists, tuples, tensors, numbers, strings, Booleans."""
    for found in foreign(Trial(case).move(case.lr).state(), ""):
        raise CheckError(f"state_dict must hold tensors, numbers, strings, lists, tuples or dicts, got {found}")


def state_resumes(case: RuleCase) -> None:
    """A new rule that loads the state between two steps continues like the one that gave it."""
    for steps in STEPS:
        trial = _moved(case, steps)
        state, values = trial.state(), trial.net.state_dict()
        expected = {name: value.clone() for name, value in values.items()}
        other = Trial(case)
        other.net.load_state_dict(expected)
        _require_alike(trial, other.load(state), case, f"a new rule that loads the state after {steps} steps")


def state_goes_back(case: RuleCase) -> None:
    """A rule that was used further and loads an earlier state behaves as it did then."""
    for steps in STEPS:
        trial = _moved(case, steps)
        state = trial.state()
        values = {name: value.clone() for name, value in trial.net.state_dict().items()}
        expected = _moved(case, steps)
        for _ in range(3):
            trial.move(case.lr)
        trial.net.load_state_dict(values)
        _require_alike(expected, trial.load(state), case, f"a used rule that loads the state after {steps} steps")


def _moved(case: RuleCase, steps: int) -> Trial:
    trial = Trial(case)
    for _ in range(steps):
        trial.move(case.lr)
    return trial


def _require_alike(one: Trial, other: Trial, case: RuleCase, what: str) -> None:
    for _ in range(2):
        expected, found = one.update(), other.update()
        for name, d in expected.items():
            if not same_bits(d, found[name]):
                raise CheckError(
                    f"the update of {name} must be the same to the bit by {what}; what decides must be in state_dict, "
                    "and load_state_dict must put all of it back"
                )
        one.move(case.lr)
        other.move(case.lr)
