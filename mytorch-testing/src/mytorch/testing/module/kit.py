"""What the kits of layers and of losses have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, Module
from mytorch.testing.inputs import drawn, shown
from mytorch.testing.kit import Check, Kit, on_one_line, require_factory
from mytorch.testing.module import contract, devices, gradients, layout, memory, modes, parameters
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
    contract.call,
    contract.structure,
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
    devices.device,
    parameters.state_round_trip,
    parameters.description_round_trip,
    modes.mode_at_backward,
    modes.quiet_evaluation,
    modes.determinism,
    modes.no_autograd,
    devices.traceable,
    layout.non_contiguous,
)
TRACING = {"not_traceable": "torch.compile cannot take it as one graph, by its nature"}
GRADIENTS = frozenset({"finite_differences", "full_jacobian", "autograd", "reference"})


def run_kit(
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
    """Run the kit of layers or of losses; the arguments are those of check_layer and check_loss."""
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
