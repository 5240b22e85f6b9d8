"""Whether the state of a callback says all of what decides how a run goes on."""

from __future__ import annotations

from mytorch.testing.callback.trial import BATCHES, EPOCHS, CallbackCase, Run, seed
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.plain import foreign

STEPS = (1, 4, 6, 8, 9, 11, 13, 16, 18, 20)
"""After which steps a run is stopped: in the middle and at the end of epochs, before and after the best of them."""
OTHER = 1000
"""Added to the seed of a process that goes on: what it has drawn before does not matter."""


def state_plain(case: CallbackCase) -> None:
    """state_dict returns what a checkpoint can hold: dicts, lists, tuples, tensors, numbers, strings, Booleans."""
    _require_state(case)
    run = Run(case).begin().go(BATCHES * EPOCHS // 2)
    state = run.callback.state_dict()
    run.fail()
    for found in foreign(state, ""):
        raise CheckError(f"state_dict must hold tensors, numbers, strings, lists, tuples or dicts, got {found}")


def state_decides(case: CallbackCase) -> None:
    """A new callback that loads the state in the middle of a run continues like the original."""
    expected = Run(case).begin().go().end()
    for steps in STEPS:
        first = Run(case).begin().go(steps)
        if first.has_stopped:
            return
        state, place = first.state(), first.place
        first.fail()
        second = Run(case)
        seed(case.seed + OTHER)
        rule = (
            f"be the same where the run is resumed at {place} as without a stop; what decides must be in state_dict, "
            "and load_state_dict must put all of it back"
        )
        second.begin(state).go().end().require_same(expected, rule)


def state_rewinds(case: CallbackCase) -> None:
    """A callback that was used until the end and loads an earlier state behaves like a new one."""
    _require_state(case)
    expected = Run(case).begin().go().end()
    for steps in STEPS[1::2]:
        first = Run(case).begin().go(steps)
        if first.has_stopped:
            return
        state, place = first.state(), first.place
        used = first.go().end().callback
        rule = (
            f"be the same when a callback that was used already takes the state of {place}; load_state_dict must "
            "leave nothing of what was there"
        )
        Run(case, used).begin(state).go().end().require_same(expected, rule)


def _require_state(case: CallbackCase) -> None:
    if not callable(getattr(case.factory(), "state_dict", None)):
        raise Skip("it has no state_dict")
