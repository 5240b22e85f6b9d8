"""The conformance kit for losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from mytorch.core import Module
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit
from mytorch.testing.loss import averages, contract, upstream
from mytorch.testing.module.kit import GRADIENTS, SHARED, TRACING, Reference, run_kit
from mytorch.testing.report import Report

LOSS_CHECKS: tuple[Check, ...] = (
    *SHARED,
    contract.upstream_tensor,
    contract.no_broadcast,
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
    seed: int = 0,
    modes: Iterable[str] = ("train",),
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Report:
    """Check that a loss keeps the contract and returns the gradients of its predictions, and no others.

    predictions: how many of the inputs, from the first, are predictions. The rest is as in check_layer.
    """
    inputs = (prediction, *targets)
    return run_kit(
        LOSSES.given(reference), factory, inputs, seed, modes, checks, predictions, tags, opt_out, reference
    )


def declare_loss(
    factory: Callable[[], Module],
    prediction: Any,
    *targets: Any,
    predictions: int = 1,
    seed: int = 0,
    modes: Iterable[str] = ("train",),
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Declaration:
    """Declare a loss; the arguments are those of check_loss, the rest is as in declare_layer."""
    options: dict[str, Any] = {"predictions": predictions, "seed": seed, "tags": tuple(tags), "reference": reference}
    check = partial(check_loss, factory, prediction, *targets, **options)
    return Declaration(check, LOSSES.given(reference), dict(opt_out or {}), tuple(modes))
