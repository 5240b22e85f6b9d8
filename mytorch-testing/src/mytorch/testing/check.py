"""The conformance kit for layers and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from mytorch.core import ArgumentError, Module
from mytorch.plugins import UnknownNameError, nearest
from mytorch.testing import (
    batch_checks,
    contract_checks,
    gradient_checks,
    mode_checks,
    parameter_checks,
    shape_checks,
)
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
    parameter_checks.not_trainable,
    parameter_checks.float32,
    parameter_checks.bfloat16,
    parameter_checks.state_round_trip,
    parameter_checks.description_round_trip,
    mode_checks.mode_at_backward,
    mode_checks.determinism,
    mode_checks.no_autograd,
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
TAGS = {"mixes_batch": "rows of a batch depend on each other", "fixed_dimensions": "the number of axes is fixed"}


@dataclass
class Report:
    """What ran: names of the checks as "mode/check", and why the skipped ones were."""

    module: str
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    opted_out: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        total = len(self.passed) + len(self.skipped) + len(self.opted_out)
        lines = [f"{self.module}: {len(self.passed)} of {total} checks passed: {', '.join(self.passed)}"]
        for what, names in (("skipped", self.skipped), ("opted out", self.opted_out)):
            lines += [f"  {what}: {name} ({reason})" for name, reason in names.items()]
        return "\n".join(lines)


def check_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
) -> Report:
    """Check that a layer keeps the contract and that its backward is the derivative of its forward.

    factory: builds a new layer at each call;  inputs: what its forward takes (floating point becomes float64)
    modes: train, eval, or both;  checks: names, if only some are wanted
    tags: "mixes_batch" for a layer whose rows depend on each other, "fixed_dimensions" for a fixed number of axes
    opt_out: checks that are known to fail, each with the reason; one that passes in every mode fails the kit
    Returns a Report of what passed. Raises CheckError at the first check that fails, UnknownNameError for a mode,
    check or tag that there is not, and ArgumentError for a module in place of a factory.
    """
    options = _Options(seed, modes, checks, None, tags, opt_out)
    return _run("check_layer", LAYER_CHECKS, factory, inputs, options)


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
) -> Report:
    """Check that a loss keeps the contract and returns the gradients of its predictions, and no others.

    predictions: how many of the inputs, from the first, are predictions. The rest is as in check_layer.
    """
    options = _Options(seed, modes, checks, predictions, tags, opt_out)
    return _run("check_loss", LOSS_CHECKS, factory, (prediction, *targets), options)


@dataclass(frozen=True)
class _Options:
    seed: int
    modes: Iterable[str]
    checks: Iterable[str] | None
    predictions: int | None
    tags: Iterable[str]
    opt_out: Mapping[str, str] | None


def _run(
    kit: str,
    available: tuple[Check, ...],
    factory: Callable[[], Module],
    inputs: tuple[Any, ...],
    options: _Options,
) -> Report:
    chosen, modes = _choose(kit, available, options.checks), list(options.modes)
    opt_out, tags = dict(options.opt_out or {}), frozenset(options.tags)
    if not modes:
        raise ArgumentError(f"{kit}: modes must name at least one mode, got none")
    _require_known(kit, "mode", modes, MODES)
    _require_known(kit, "tag", tags, TAGS)
    _require_known(kit, "check", opt_out, [check.__name__ for check in available])
    inputs = mapped(inputs, lambda leaf: leaf.detach().double() if is_floating(leaf) else leaf)
    if isinstance(factory, Module):
        shown = " ".join(repr(factory).split())
        raise ArgumentError(f"{kit}: factory must build a module at each call, got {shown}; write lambda: {shown}")
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.no_grad():
        report = Report(" ".join(repr(factory()).split()))
        for mode in modes:
            case = Case(factory, inputs, options.seed, MODES[mode], options.predictions, tags)
            for check in chosen:
                _run_one(kit, check, case, mode, report, opt_out)
    _require_failures(report, opt_out, chosen)
    return report


def _require_known(kit: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownNameError(f"{kit}: unknown {what} {name!r}. {nearest(name, known)}")


def _require_failures(report: Report, opt_out: Mapping[str, str], chosen: list[Check]) -> None:
    """An opt-out that nothing needs hides the next mistake."""
    needed = {name.partition("/")[2] for name in report.opted_out}
    for check in chosen:
        if check.__name__ in opt_out and check.__name__ not in needed:
            raise CheckError(
                f"{report.module}: {check.__name__} must fail, since it is opted out of "
                f"({opt_out[check.__name__]}), but it passes: remove the opt-out"
            )


def _choose(kit: str, available: tuple[Check, ...], names: Iterable[str] | None) -> list[Check]:
    known = {check.__name__: check for check in available}
    if names is None:
        return list(available)
    names = list(names)
    if not names:
        raise ArgumentError(f"{kit}: checks must name at least one check, got none")
    _require_known(kit, "check", names, known)
    return [known[name] for name in names]


def _run_one(kit: str, check: Check, case: Case, mode: str, report: Report, opt_out: Mapping[str, str]) -> None:
    name = check.__name__
    try:
        check(case)
    except Skip as reason:
        report.skipped[f"{mode}/{name}"] = str(reason)
    except Exception as error:
        if name in opt_out:
            report.opted_out[f"{mode}/{name}"] = opt_out[name]
            return
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
