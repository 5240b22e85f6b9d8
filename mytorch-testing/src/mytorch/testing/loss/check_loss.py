"""The conformance kit for losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from mytorch.core import Module
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit
from mytorch.testing.loss import averages, contract, upstream
from mytorch.testing.module import refusals
from mytorch.testing.module.kit import GRADIENTS, SHARED, TRACING, Reference, of_inputs, run_kit
from mytorch.testing.module.trial import Case
from mytorch.testing.report import Report

LOSS_CHECKS: tuple[Check, ...] = (
    *SHARED,
    contract.upstream_tensor,
    contract.no_broadcast,
    refusals.no_tensor,
    refusals.requires_grad,
    upstream.upstream_shape,
    averages.declared_outputs,
    averages.averages,
    averages.ignored_batch,
)
TAGS = {**TRACING, "mixes_batch": "its value over several rows does not follow from those of each, by its nature"}
LOSSES = Kit("check_loss", LOSS_CHECKS, minimum=18, tags=TAGS, wanted=GRADIENTS)


def check_loss(
    factory: Callable[[], Module],
    prediction: Any,
    *targets: Any,
    predictions: int = 1,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    modes: Iterable[str] = ("train",),
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Report:
    """Check that a loss keeps the contract, and returns the gradients of its predictions and of nothing else.

    predictions: how many of the inputs, from the first, are predictions. The other arguments are as in check_layer.
    """
    inputs, tags = (prediction, *targets), frozenset(tags)
    case = Case(factory, inputs, seed, predictions=predictions, tags=tags, reference=reference, options=options or {})
    return run_kit(LOSSES, case, modes, checks, opt_out)


def declare_loss(
    factory: Callable[[], Module],
    prediction: Any,
    *targets: Any,
    predictions: int = 1,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    modes: Iterable[str] = ("train",),
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Declaration:
    """Declare a loss for pytest. The arguments are those of check_loss; see declare_layer."""
    named: dict[str, Any] = {
        "predictions": predictions,
        "options": options,
        "seed": seed,
        "tags": tuple(tags),
        "reference": reference,
    }
    check = partial(check_loss, factory, prediction, *targets, **named)
    kit = of_inputs(LOSSES, (prediction, *targets)[:predictions], reference)
    return Declaration(check, kit, dict(opt_out or {}), tuple(modes))
