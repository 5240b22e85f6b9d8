"""What the kits of layers and of losses have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, Module, random_state
from mytorch.testing.errors import CheckError
from mytorch.testing.expression import expression
from mytorch.testing.inputs import doubled, drawn
from mytorch.testing.kit import Check, Kit, on_one_line, require_factory
from mytorch.testing.module import (
    buffers,
    contract,
    devices,
    gradients,
    layout,
    memory,
    modes,
    parameters,
    state,
)
from mytorch.testing.module.trial import Case
from mytorch.testing.report import Report

MODES = {"train": True, "eval": False}
Reference = Callable[..., Tensor | tuple[Tensor, ...]]
"""The formula as the author states it: a function of the parameters by name and of the inputs."""

SHARED: tuple[Check, ...] = (
    gradients.finite_differences,
    gradients.full_jacobian,
    gradients.autograd,
    gradients.reference,
    contract.pair,
    contract.call,
    contract.structure,
    contract.same_tensor,
    contract.two_forwards,
    contract.shared_module,
    contract.nothing_written,
    contract.nothing_kept,
    memory.nothing_alive,
    contract.accumulation,
    contract.fresh_gradients,
    parameters.listed_once,
    parameters.not_trainable,
    parameters.float32,
    parameters.bfloat16,
    parameters.upstream_dtype,
    devices.device,
    parameters.state_round_trip,
    parameters.description_round_trip,
    state.state_decides,
    state.strict_loading,
    state.wrapped_names,
    state.tied_names,
    state.loose_loading,
    state.children_freed,
    modes.mode_at_backward,
    modes.quiet_evaluation,
    modes.determinism,
    modes.no_autograd,
    devices.traceable,
    layout.non_contiguous,
    layout.expanded_upstream,
    layout.float32_non_contiguous,
)
TRACING = {"not_traceable": "torch.compile cannot take it as one graph, by its nature"}
GRADIENTS = frozenset({"finite_differences", "full_jacobian", "autograd", "reference"})


def run_kit(
    kit: Kit,
    case: Case,
    modes: Iterable[str],
    checks: Iterable[str] | None,
    opt_out: Mapping[str, str] | None,
) -> Report:
    """Run the kit of layers or of losses on a case, whose inputs may be shapes, in each of the modes."""
    modes = list(modes)
    if not modes:
        raise ArgumentError(f"{kit.name}: modes must name at least one mode, got none")
    kit = of_inputs(kit, case.differentiated, case.reference)
    kit.require_known("mode", modes, MODES)
    kit.require_known("tag", case.tags, kit.tags)
    require_factory(kit.name, case.factory, Module, f"lambda: {on_one_line(case.factory)}")
    module = _built(kit, case)
    if case.constant:
        kit.require_known("parameter", case.constant, dict(module.named_param()))
    values, options = drawn(case.inputs, case.seed), doubled(dict(case.options))
    cases = {mode: replace(case, inputs=values, options=options, training=MODES[mode]) for mode in modes}
    shown = expression(module)

    def reproduce(mode: str, check: str) -> str:
        arguments = [f"lambda: {shown}", *map(expression, case.inputs), *_named(case, check)]
        return f"{kit.name}({', '.join(arguments)}, modes=({mode!r},), checks=({check!r},))"

    return kit.run(lambda: shown, cases, reproduce, checks, opt_out, buffers.explain)


def of_inputs(kit: Kit, inputs: tuple[Any, ...], reference: object) -> Kit:
    """The kit without what is about several gradients of inputs if there is one, and a reference if none is named."""
    return (kit if len(inputs) > 1 else kit.without("optional_inputs", "same_tensor")).given(reference)


def _built(kit: Kit, case: Case) -> Module:
    """A module of the factory. Raises CheckError if there is none."""
    try:
        with random_state():
            module = case.factory()
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise CheckError(f"{kit.name}: factory must build a new module at each call, got {got}") from error
    if not isinstance(module, Module):
        raise CheckError(f"{kit.name}: factory must return a mytorch.core.Module, got {type(module).__name__}")
    return module


def _named(case: Case, check: str) -> Iterator[str]:
    """The named arguments of the call that shows a failure again."""
    if case.predictions not in (None, 1):
        yield f"predictions={case.predictions}"
    for name, value in {"options": dict(case.options), "constant": dict(case.constant)}.items():
        if value:
            yield f"{name}={expression(value)}"
    if case.tags:
        yield f"tags={tuple(sorted(case.tags))}"
    if check == "reference":
        yield f"reference={expression(case.reference)}"
    yield f"seed={case.seed}"
