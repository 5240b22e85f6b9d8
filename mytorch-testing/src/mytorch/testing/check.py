"""The conformance kit for layers and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, Module
from mytorch.testing import (
    batch_checks,
    contract_checks,
    device_checks,
    gradient_checks,
    memory_checks,
    mode_checks,
    parameter_checks,
    shape_checks,
)
from mytorch.testing.inputs import drawn, shown
from mytorch.testing.kit import Check, Kit, on_one_line, require_factory
from mytorch.testing.report import Report
from mytorch.testing.trial import Case

MODES = {"train": True, "eval": False}
Reference = Callable[..., Tensor | tuple[Tensor, ...]]
"""The formula as the author states it: a function of the parameters by name and of the inputs."""

SHARED: tuple[Check, ...] = (
    gradient_checks.finite_differences,
    gradient_checks.full_jacobian,
    gradient_checks.autograd,
    gradient_checks.reference,
    contract_checks.call,
    contract_checks.structure,
    contract_checks.two_forwards,
    contract_checks.shared_module,
    contract_checks.nothing_written,
    contract_checks.nothing_kept,
    memory_checks.nothing_alive,
    contract_checks.accumulation,
    contract_checks.fresh_gradients,
    parameter_checks.listed_once,
    parameter_checks.not_trainable,
    parameter_checks.float32,
    parameter_checks.bfloat16,
    device_checks.device,
    parameter_checks.state_round_trip,
    parameter_checks.description_round_trip,
    mode_checks.mode_at_backward,
    mode_checks.quiet_evaluation,
    mode_checks.determinism,
    mode_checks.no_autograd,
    device_checks.traceable,
    batch_checks.non_contiguous,
)
LAYER_CHECKS: tuple[Check, ...] = (
    *SHARED,
    contract_checks.without_input_gradient,
    batch_checks.batch_invariance,
    batch_checks.empty_batch,
    batch_checks.single_row,
    batch_checks.leading_dimensions,
    shape_checks.bad_shapes,
)
LOSS_CHECKS: tuple[Check, ...] = (*SHARED, contract_checks.upstream_tensor, shape_checks.no_broadcast)
TRACING = {"not_traceable": "torch.compile cannot take it as one graph, by its nature"}
LAYER_TAGS = {
    "mixes_batch": "rows of a batch depend on each other",
    "fixed_dimensions": "the number of axes is fixed",
    **TRACING,
}
GRADIENTS = frozenset({"finite_differences", "full_jacobian", "autograd", "reference"})
LAYERS = Kit("check_layer", LAYER_CHECKS, minimum=18, tags=LAYER_TAGS, wanted=GRADIENTS)
LOSSES = Kit("check_loss", LOSS_CHECKS, minimum=16, tags=TRACING, wanted=GRADIENTS)


def check_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Report:
    """Check that a layer keeps the contract and that its backward is the derivative of its forward.

    factory: builds a new layer at each call
    inputs: what its forward takes, each a tensor (floating point becomes float64) or a shape such as (4, 3)
    modes: train, eval, or both;  checks: names, if only some are wanted
    tags: "mixes_batch" for a layer whose rows depend on each other, "fixed_dimensions" for a fixed number of axes,
        "not_traceable" for one that torch.compile cannot take whole
    opt_out: checks that are known to fail, each with the reason; one that passes in every mode fails the kit
    reference: the formula in torch's operations, `reference(parameters, *inputs)` with a dict of tensors by name,
        whose autograd the gradients are compared with; wanted where autograd cannot follow the layer's own forward
    Returns a Report of what passed. Raises CheckError at the first check that fails, or if too few of them had
    anything to say; UnknownNameError for a mode, check or tag that there is not; ArgumentError for a module in place
    of a factory.
    """
    return _run(LAYERS.given(reference), factory, inputs, seed, modes, checks, None, tags, opt_out, reference)


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
    return _run(LOSSES.given(reference), factory, inputs, seed, modes, checks, predictions, tags, opt_out, reference)


def _run(
    kit: Kit,
    factory: Callable[[], Module],
    inputs: tuple[Any, ...],
    seed: int,
    modes: Iterable[str],
    checks: Iterable[str] | None,
    predictions: int | None,
    tags: Iterable[str],
    opt_out: Mapping[str, str] | None,
    reference: Reference | None,
) -> Report:
    modes, tags = list(modes), frozenset(tags)
    if not modes:
        raise ArgumentError(f"{kit.name}: modes must name at least one mode, got none")
    kit.require_known("mode", modes, MODES)
    kit.require_known("tag", tags, kit.tags)
    require_factory(kit.name, factory, Module, f"lambda: {on_one_line(factory)}")
    values = drawn(inputs, seed)
    cases = {mode: Case(factory, values, seed, MODES[mode], predictions, tags, reference) for mode in modes}

    def part() -> str:
        return on_one_line(factory())

    def reproduce(mode: str, check: str) -> str:
        several = f"predictions={predictions}, " if predictions not in (None, 1) else ""
        tagged = f"tags={tuple(sorted(tags))}, " if tags else ""
        named = "reference=..., " if reference is not None else ""
        return (
            f"{kit.name}(lambda: {part()}, {shown(inputs)}, {several}{tagged}{named}"
            f"seed={seed}, modes=({mode!r},), checks=({check!r},))"
        )

    return kit.run(part, cases, reproduce, checks, opt_out)
