"""Whether a callback fits the hooks of a run."""

from __future__ import annotations

from mytorch.plugins import Hooks, PluginError
from mytorch.testing.callback.trial import BATCHES, CallbackCase, Run
from mytorch.testing.errors import CheckError


def registers(case: CallbackCase) -> None:
    """The callback implements at least one hook, and its hooks take only arguments that exist."""
    try:
        Hooks(installed=False).add(case.factory())
    except PluginError as error:
        raise CheckError(f"a run must take it, got {error}") from None


def declared(case: CallbackCase) -> None:
    """`must_succeed`, `may_lag` and `first_process_only`, where given, are True or False."""
    callback = case.factory()
    for name in ("must_succeed", "may_lag", "first_process_only"):
        value = getattr(callback, name, False)
        if not isinstance(value, bool):
            raise CheckError(f"{name} must be True or False, got {value!r}")


def whole_run(case: CallbackCase) -> None:
    """No hook raises anything but StopTraining, from the start of a run to its end."""
    Run(case).begin().go().end()


def failed_run(case: CallbackCase) -> None:
    """No hook raises an exception when a run fails in the middle of an epoch."""
    Run(case).begin().go(BATCHES + 1).fail()


def determinism(case: CallbackCase) -> None:
    """Two runs with the same seed, each with a callback of its own, end with the same result."""
    Run(case).begin().go().end().require_same(Run(case).begin().go().end(), "be the same in two runs under one seed")
