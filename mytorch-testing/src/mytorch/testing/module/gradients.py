"""Whether backward returns the derivative of forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mytorch.core import allow_autograd, seed_torch
from mytorch.testing.compare import agree, require_close
from mytorch.testing.errors import Skip
from mytorch.testing.module.tangents import compare_tangents
from mytorch.testing.module.trial import Case, Gradients, Trial
from mytorch.testing.structure import is_floating, leaves, mapped

STEP = 1e-6  # of central differences in float64: truncation about 1e-12, rounding about 1e-10
TOLERANCE = 1e-6  # relative to 1 + the derivative
KINK = 1e-3  # a smooth function's slopes on both sides differ by STEP times its second derivative
DIRECTIONS = 2
POINTS = 5  # to try, where forward has a kink
TINY = 256  # numbers in inputs, parameters and outputs, for which every entry of the Jacobian is looked at


class _Kink(Exception):
    """Forward has no derivative here."""


def finite_differences(case: Case) -> str | None:
    """The derivative in random directions, from the gradients, equals the central difference of sum(d_y * forward).

    So do `tangent` and `backward_tangent`, if they are stated, to those of forward and backward.
    """
    _where_smooth(case, _compare_directions)
    return _where_smooth(case, lambda nearby: compare_tangents(nearby, _slope, _require_slopes))


def full_jacobian(case: Case) -> None:
    """On tiny shapes, every entry of the Jacobian equals the central difference of forward."""
    trial = Trial(case)
    output = _flat(trial.forward(case.inputs)[0])
    size = output.numel() + sum(value.numel() for value in _moved(trial, case.inputs).values())
    if size > TINY:
        raise Skip(f"its inputs, parameters and outputs are {size} numbers; up to {TINY} are looked at one by one")
    _where_smooth(case, _compare_entries)


def _where_smooth(case: Case, compare: Callable[[Case], str | None]) -> str | None:
    """Compare at the inputs as given; where forward has a kink there, at others nearby. Returns what is remarked."""
    if not _moved(Trial(case), case.inputs):
        raise Skip("it has nothing to differentiate")
    for turn in range(POINTS):
        seed_torch(case.seed + 10 + turn)

        def nearby(leaf: Any, distance: float = 0.01 * turn) -> Any:
            return leaf + distance * torch.randn_like(leaf) if is_floating(leaf) else leaf

        try:
            return compare(replace(case, inputs=case.with_differentiated(nearby)))
        except _Kink:
            continue
    raise Skip(f"forward has a kink at each of {POINTS} points")


def _moved(trial: Trial, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
    """What is moved to see how the output follows, by the name of its gradient."""
    differentiated = trial.named_tensors(inputs[: trial.case.predictions], "gradient of ")
    moved = {path: leaf for path, leaf in differentiated.items() if is_floating(leaf)}
    return moved | {f"gradient of {name}": parameter.value for name, parameter in trial.module.named_param()}


def _compare_directions(case: Case) -> None:
    trial = Trial(case)
    gradients = trial.gradients(case.inputs)
    inputs = mapped(case.inputs, lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf)
    d_output = trial.upstream(trial.forward(inputs)[0])

    def objective() -> Tensor:
        return trial.objective(trial.forward(inputs)[0], d_output)

    for name, value in _moved(trial, inputs).items():
        gradient, slopes, expected = gradients[name], [], []
        _require_constant(trial, name, gradient)
        for turn in range(DIRECTIONS):
            seed_torch(case.seed + 3 + turn)
            direction = trial.held_constant(name, torch.randn_like(value))
            assert direction is not None
            slopes.append(torch.zeros(()).double() if gradient is None else (gradient * direction).sum())
            expected.append(_slope(slopes[-1], objective, value, direction))
        actual = None if gradient is None else torch.stack(slopes)
        rule = f"match finite differences of forward along {DIRECTIONS} random directions"
        _require_slopes(name, actual, torch.stack(expected), rule)


def _require_constant(trial: Trial, name: str, gradient: Tensor | None) -> None:
    """Raise CheckError for a gradient of entries that are said to be constants."""
    rule = "be zero for the entries that are said to be constant"
    require_close(name, gradient, trial.held_constant(name, gradient), rule, rtol=0, atol=0)


def _compare_entries(case: Case) -> None:
    trial = Trial(case)
    inputs = mapped(case.inputs, lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf)
    rows = _jacobian(trial, inputs)

    def output() -> Tensor:
        return _flat(trial.forward(inputs)[0])

    for name, value in _moved(trial, inputs).items():
        movable = trial.held_constant(name, torch.ones_like(value))
        assert movable is not None
        for number in movable.reshape(-1).nonzero().flatten().tolist():
            direction = torch.zeros(value.numel(), dtype=value.dtype)
            direction[number] = 1.0
            column = [torch.zeros(()).double() if row[name] is None else _entry(row[name], number) for row in rows]
            index = [int(i) for i in torch.unravel_index(torch.tensor(number), value.shape)]
            entry = f"{name} at {index}, for each number of the output in turn,"
            actual = torch.stack(column) if column else torch.zeros(0).double()
            expected = _slope(actual, output, value, direction.view(value.shape))
            _require_slopes(entry, actual, expected, "match finite differences")


def _jacobian(trial: Trial, inputs: tuple[Any, ...]) -> list[Gradients]:
    """The gradients of each number of the output by itself."""
    rows = []
    for number in range(_flat(trial.forward(inputs)[0]).numel()):
        trial.module.zero_grad()
        output, saved = trial.forward(inputs)
        rows.append(trial.answer(_one_hot(output, number, trial.case.predictions is not None), saved))
    return rows


def _one_hot(output: Any, number: int, is_loss: bool) -> Any:
    """An upstream gradient of 1 for one number of the output, 0 for all others."""
    before = 0

    def one(leaf: Any) -> Any:
        nonlocal before
        if not is_floating(leaf):
            return None
        d_leaf = torch.zeros(leaf.numel(), dtype=leaf.dtype)
        if 0 <= number - before < leaf.numel():
            d_leaf[number - before] = 1.0
        before += leaf.numel()
        return float(d_leaf) if is_loss and not leaf.dim() else d_leaf.view(leaf.shape)

    return mapped(output, one)


def _flat(output: Any) -> Tensor:
    """Every floating-point number of the output in a row."""
    parts = [leaf.reshape(-1) for _, leaf in leaves(output, "") if is_floating(leaf)]
    return torch.cat(parts) if parts else torch.zeros(0).double()


def _entry(gradient: Tensor | None, number: int) -> Tensor:
    assert gradient is not None
    return gradient.reshape(-1)[number]


def _slope(actual: Tensor, function: Callable[[], Tensor], value: Tensor, direction: Tensor) -> Tensor:
    """The slope of a function as `value` moves. Raises _Kink where it is not `actual`, and another on either side."""
    at = value.clone()
    middle = function()
    value.copy_(at + STEP * direction)
    ahead = function()
    value.copy_(at - STEP * direction)
    behind = function()
    value.copy_(at)
    expected = (ahead - behind) / (2 * STEP)
    if not agree(actual, expected, atol=_tolerance(expected)):
        bend = (ahead - 2 * middle + behind).abs() / STEP
        if bool((bend > KINK * (1 + expected.abs())).any()):
            raise _Kink
    return expected


def _require_slopes(name: str, actual: Tensor | None, expected: Tensor, rule: str) -> None:
    atol = _tolerance(expected)
    if actual is None and agree(torch.zeros_like(expected), expected, atol=atol):
        return
    require_close(name, actual, expected, rule, atol=atol)


def _tolerance(expected: Tensor) -> float:
    return TOLERANCE * (1 + float(expected.abs().max())) if expected.numel() else 0.0


def autograd(case: Case) -> None:
    """Each gradient equals the one that autograd computes through the module's own forward."""
    trial = Trial(case)
    gradients = trial.gradients(case.inputs)
    parameters = dict(trial.module.named_param())
    values = {name: parameter.value for name, parameter in parameters.items()}
    try:
        watched = {name: value.clone().requires_grad_() for name, value in values.items()}
        with allow_autograd():
            for name, parameter in parameters.items():
                parameter.value = watched[name]
        expected = _by_autograd(trial, watched, lambda inputs: trial.forward(inputs)[0])
    finally:
        for name, parameter in parameters.items():
            parameter.value = values[name]
        trial.rewind()  # buffers may have been made part of the graph
    for name, gradient in expected.items():
        wanted = trial.held_constant(name, gradient)
        require_close(name, gradients[name], wanted, "match autograd through forward")


def reference(case: Case) -> None:
    """Output and gradients equal those of the reference."""
    formula = case.reference
    assert formula is not None, "a kit without a reference leaves this check out"
    trial = Trial(case)
    gradients = trial.gradients(case.inputs)
    output = trial.forward(case.inputs)[0]
    parameters = {name: p.value.clone().requires_grad_() for name, p in trial.module.named_param()}

    def compared(inputs: tuple[Any, ...]) -> Any:
        trial.rewind()
        expected = formula(parameters, *inputs, **case.options)
        require_close("output", _flat(output), _flat(expected).detach(), "match the reference")
        return expected

    for name, gradient in _by_autograd(trial, parameters, compared).items():
        wanted = trial.held_constant(name, gradient)
        require_close(name, gradients[name], wanted, "match autograd through the reference")


def _by_autograd(
    trial: Trial, parameters: dict[str, Tensor], function: Callable[[tuple[Any, ...]], Any]
) -> dict[str, Tensor | None]:
    """The gradients of a function of the inputs, also by the parameters that it uses."""
    case = trial.case

    def watched(leaf: Any) -> Any:
        return leaf.clone().requires_grad_() if is_floating(leaf) else leaf

    inputs = case.with_differentiated(watched)
    differentiated = trial.named_tensors(inputs[: case.predictions], "gradient of ")
    sources = {path: leaf for path, leaf in differentiated.items() if is_floating(leaf)}
    sources |= {f"gradient of {name}": value for name, value in parameters.items()}
    with torch.enable_grad(), allow_autograd():
        output = function(inputs)
        objective = trial.objective(output, trial.upstream(output))
    if not sources or not objective.requires_grad:
        raise Skip("autograd cannot follow this forward")
    found = torch.autograd.grad(objective, list(sources.values()), allow_unused=True)  # noqa: TID251
    return dict(zip(sources, found, strict=True))
