"""Whether a callback fits the hooks of a run."""

from __future__ import annotations

from mytorch.plugins import Hooks, PluginError
from mytorch.testing.callback.trial import BATCHES, CallbackCase, Run
from mytorch.testing.errors import CheckError


def registers(case: CallbackCase) -> None:
    """It implements at least one hook, and each hook takes arguments that there are."""
    try:
        Hooks(installed=False).add(case.factory())
    except PluginError as error:
        raise CheckError(f"a run must take it, got {error}") from None


def declared(case: CallbackCase) -> None:
    """`must_succeed`, `may_lag` and `first_process_only` are truth values where they are given."""
    callback = case.factory()
    for name in ("must_succeed", "may_lag", "first_process_only"):
        value = getattr(callback, name, False)
        if not isinstance(value, bool):
            raise CheckError(f"{name} must be True or False, got {value!r}")


def whole_run(case: CallbackCase) -> None:
    """No hook raises anything but StopTraining, from the start of a run to its end."""
    Run(case).begin().go().end()


def failed_run(case: CallbackCase) -> None:
    """No hook raises where a run is broken off in the middle of an epoch."""
    Run(case).begin().go(BATCHES + 1).fail()


def determinism(case: CallbackCase) -> None:
    """Two runs under one seed, each with a callback of its own, come to the same end."""
    Run(case).begin().go().end().require_same(Run(case).begin().go().end(), "be the same in two runs under one seed")
