"""The conformance kit for callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mytorch.plugins import Callback
from mytorch.testing.callback import contract, state
from mytorch.testing.callback.trial import CallbackCase
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit, require_factory
from mytorch.testing.report import Report

CALLBACK_CHECKS: tuple[Check, ...] = (
    contract.registers,
    contract.declared,
    contract.whole_run,
    contract.failed_run,
    contract.determinism,
    state.state_plain,
    state.state_decides,
    state.state_rewinds,
)
CALLBACKS = Kit("check_callback", CALLBACK_CHECKS, minimum=6)


def check_callback(
    factory: Callable[[], Any],
    *,
    seed: int = 0,
    checks: Iterable[str] | None = None,
    opt_out: Mapping[str, str] | None = None,
) -> Report:
    """Check that a callback fits the hooks of a run, and that its state determines how a resumed run continues.

    It is used in a small training run of eight epochs of three steps, whose validation loss is best in the fourth. The
    run has the attributes that docs/hooks.md lists, and a temporary folder.
    factory: builds a new callback at each call;  seed: of the random numbers of the training
    checks, opt_out: as in check_layer
    Returns and raises as check_layer does.

    Example:
        >>> from mytorch.plugins import Callback
        >>> from mytorch.testing import check_callback
        >>> class Halve(Callback):
        ...     def epoch_ended(self, run):
        ...         run.optimizer.param_groups[0]["lr"] /= 2
        >>> check_callback(Halve).counts
        '6 of 8 checks passed, 2 skipped; 6 different ones, at least 6 must'
    """
    require_factory(CALLBACKS.name, factory, Callback, "lambda: EarlyStopping(patience=2), say")
    name = type(factory()).__name__

    def reproduce(_: str, check: str) -> str:
        return f"{CALLBACKS.name}(lambda: {name}(...), seed={seed}, checks=({check!r},))"

    with TemporaryDirectory() as folder:
        case = CallbackCase(factory, seed, Path(folder))
        return CALLBACKS.run(lambda: name, {"": case}, reproduce, checks, opt_out)


def declare_callback(
    factory: Callable[[], Any], *, seed: int = 0, opt_out: Mapping[str, str] | None = None
) -> Declaration:
    """Declare a callback for pytest. The arguments are those of check_callback; see declare_layer."""
    return Declaration(partial(check_callback, factory, seed=seed), CALLBACKS, dict(opt_out or {}))
