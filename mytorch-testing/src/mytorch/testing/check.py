"""The conformance kit for layers and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from mytorch.core import ArgumentError, Module
from mytorch.plugins import UnknownNameError, nearest
from mytorch.testing import contract_checks, gradient_checks
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.structure import is_floating, leaves, mapped
from mytorch.testing.trial import Case

Check = Callable[[Case], None]
MODES = {"train": True, "eval": False}

SHARED: tuple[Check, ...] = (
    gradient_checks.finite_differences,
    gradient_checks.autograd,
    contract_checks.call,
    contract_checks.two_forwards,
    contract_checks.nothing_written,
    contract_checks.nothing_kept,
    contract_checks.accumulation,
    contract_checks.fresh_gradients,
)
LAYER_CHECKS: tuple[Check, ...] = (*SHARED, contract_checks.without_input_gradient)
LOSS_CHECKS: tuple[Check, ...] = (*SHARED, contract_checks.upstream_tensor)


@dataclass
class Report:
    """What ran: names of the checks as "mode/check", and why the skipped ones were."""

    module: str
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        skipped = f", skipped: {', '.join(self.skipped)}" if self.skipped else ""
        return f"{self.module}: {len(self.passed)} checks passed: {', '.join(self.passed)}{skipped}"


def check_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    checks: Iterable[str] | None = None,
) -> Report:
    """Check that a layer keeps the contract and that its backward is the derivative of its forward.

    factory: builds a new layer at each call;  inputs: what its forward takes (floating point becomes float64)
    modes: train, eval, or both;  checks: names, if only some are wanted
    Returns a Report of what passed. Raises CheckError at the first check that fails, UnknownNameError for a mode or
    check that there is not, and ArgumentError for a module in place of a factory.
    """
    return _run("check_layer", LAYER_CHECKS, factory, inputs, seed, modes, checks, None)


def check_loss(
    factory: Callable[[], Module],
    prediction: Any,
    *targets: Any,
    predictions: int = 1,
    seed: int = 0,
    modes: Iterable[str] = ("train",),
    checks: Iterable[str] | None = None,
) -> Report:
    """Check that a loss keeps the contract and returns the gradients of its predictions, and no others.

    predictions: how many of the inputs, from the first, are predictions. The rest is as in check_layer.
    """
    inputs = (prediction, *targets)
    return _run("check_loss", LOSS_CHECKS, factory, inputs, seed, modes, checks, predictions)


def _run(
    kit: str,
    available: tuple[Check, ...],
    factory: Callable[[], Module],
    inputs: tuple[Any, ...],
    seed: int,
    modes: Iterable[str],
    checks: Iterable[str] | None,
    predictions: int | None,
) -> Report:
    chosen, modes = _choose(kit, available, checks), list(modes)
    if not modes:
        raise ArgumentError(f"{kit}: modes must name at least one mode, got none")
    inputs = mapped(inputs, lambda leaf: leaf.detach().double() if is_floating(leaf) else leaf)
    if isinstance(factory, Module):
        shown = " ".join(repr(factory).split())
        raise ArgumentError(f"{kit}: factory must build a module at each call, got {shown}; write lambda: {shown}")
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad():
        report = Report(" ".join(repr(factory()).split()))
        for mode in modes:
            if mode not in MODES:
                raise UnknownNameError(f"{kit}: unknown mode {mode!r}. {nearest(mode, MODES)}")
            case = Case(factory, inputs, seed, MODES[mode], predictions)
            for check in chosen:
                _run_one(kit, check, case, mode, report)
    return report


def _choose(kit: str, available: tuple[Check, ...], names: Iterable[str] | None) -> list[Check]:
    known = {check.__name__: check for check in available}
    if names is None:
        return list(available)
    names = list(names)
    if not names:
        raise ArgumentError(f"{kit}: checks must name at least one check, got none")
    for name in names:
        if name not in known:
            raise UnknownNameError(f"{kit}: unknown check {name!r}. {nearest(name, known)}")
    return [known[name] for name in names]


def _run_one(kit: str, check: Check, case: Case, mode: str, report: Report) -> None:
    name = check.__name__
    try:
        check(case)
    except Skip as reason:
        report.skipped[f"{mode}/{name}"] = str(reason)
    except Exception as error:
        again = _reproduction(kit, name, case, mode, report.module)
        if isinstance(error, CheckError):
            raise CheckError(f"{report.module}: {name}: {error}\n  reproduce: {again}") from None
        error.add_note(f"in {name} of {again}")
        raise
    else:
        report.passed.append(f"{mode}/{name}")


def _reproduction(kit: str, name: str, case: Case, mode: str, module: str) -> str:
    inputs = [_shown(leaf) for _, leaf in leaves(case.inputs, "")]
    several = f"predictions={case.predictions}, " if case.predictions not in (None, 1) else ""
    return (
        f"{kit}(lambda: {module}, {', '.join(inputs)}, {several}"
        f"seed={case.seed}, modes=({mode!r},), checks=({name!r},))"
    )


def _shown(leaf: Any) -> str:
    if is_floating(leaf):
        return f"torch.randn({tuple(leaf.shape)}, dtype={leaf.dtype})"
    return f"<{leaf.dtype} {tuple(leaf.shape)}>" if isinstance(leaf, torch.Tensor) else repr(leaf)
