"""Whether a module keeps the rules by which values are passed."""

from __future__ import annotations

import inspect
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ShapeError
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.inputs import required_inputs
from mytorch.testing.module.gradients import autograd
from mytorch.testing.module.snapshot import Snapshot
from mytorch.testing.module.trial import Case, Gradients, Trial, require_equal
from mytorch.testing.structure import changed, is_floating, mapped, places, tensors


def pair(case: Case) -> None:
    """forward returns a tuple of two, (output, saved)."""
    trial = Trial(case)
    trial.forward(case.inputs)  # which refuses anything else


def call(case: Case) -> None:
    """module(x) returns the output of forward."""
    trial = Trial(case)
    expected = tensors(trial.forward(case.inputs)[0], "output")
    trial.rewind()
    actual = tensors(trial.module(*case.inputs, **case.options), "output")
    for name in expected | actual:
        require_close(name, actual.get(name), expected.get(name), "be the same from module(x) and module.forward(x)")


def structure(case: Case) -> None:
    """Gradients are nested like the inputs; an upstream gradient of None, for an unused output, counts as zeros."""
    trial = Trial(case)
    trial.gradients(case.inputs)
    upstream = trial.upstream(trial.forward(case.inputs)[0])
    if len(tensors(upstream, "")) < 2:
        return
    for place, entry in places(upstream):
        if not tensors(entry, "") or len(tensors(entry, "")) == len(tensors(upstream, "")):
            continue
        zeros = mapped(entry, lambda leaf: torch.zeros_like(leaf) if isinstance(leaf, Tensor) else leaf)
        expected = _answer(trial, changed(upstream, place, zeros), place)
        for name, gradient in _answer(trial, changed(upstream, place, None), place).items():
            rule = f"be the same for None as for zeros upstream of output{place}"
            require_close(name, gradient, expected[name], rule)


def _answer(trial: Trial, upstream: Any, place: str) -> Gradients:
    """The gradients of a new forward, with something else upstream of one output."""
    trial.module.zero_grad()
    _, saved = trial.forward(trial.case.inputs)
    try:
        return trial.answer(upstream, saved)
    except (TypeError, AttributeError, ShapeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise CheckError(
            f"backward must take None upstream of output{place}, which was not used, got {got}"
        ) from error


def optional_inputs(case: Case) -> None:
    """An optional input may be left out or be None; backward returns a gradient for each input that was passed."""
    forward = Trial(case).module.forward
    given, needed = len(case.inputs), max(required_inputs(forward), 1)
    if given <= needed:
        raise Skip("no optional input is given")
    defaults = [parameter.default for parameter in inspect.signature(forward).parameters.values()]
    for count in range(needed, given):
        short = replace(case, inputs=case.inputs[:count])
        expected = Trial(short).gradients(short.inputs)
        with suppress(Skip):
            autograd(short)
        if all(default is None for default in defaults[count:given]):
            rule = "be the same where an optional input is None as where it is left out"
            require_equal(_with_none(case, count), expected, rule)


def _with_none(case: Case, count: int) -> Gradients:
    """The gradients of a forward whose inputs from some number on are None; they may be answered by None, or not."""
    trial = Trial(case)
    absent = tuple(None for _ in case.inputs[count:])
    output, saved = trial.forward((*case.inputs[:count], *absent))
    d_input = trial.backward(trial.upstream(output), saved)
    if isinstance(d_input, tuple) and len(d_input) == len(case.inputs) and d_input[count:] == absent:
        d_input = d_input[:count] if count > 1 else d_input[0]
    return trial.input_gradients(d_input, case.inputs[:count]) | trial.parameter_gradients()


def same_tensor(case: Case) -> None:
    """A tensor passed as two inputs gets at each the gradient that a copy of it would get."""
    floating = [number for number, value in enumerate(case.differentiated) if is_floating(value)]
    pairs = [
        (one, other)
        for one in floating
        for other in floating
        if one < other and case.inputs[one].shape == case.inputs[other].shape
    ]
    if not pairs:
        raise Skip("no two of its inputs are tensors of one shape")
    for one, other in pairs:
        trial = Trial(case)
        copied = changed(case.inputs, f"[{other}]", case.inputs[one].clone())
        expected = trial.gradients(copied)
        again = changed(case.inputs, f"[{other}]", case.inputs[one])
        rule = f"be the same where inputs {one + 1} and {other + 1} are one tensor as where they are copies"
        require_equal(trial.gradients(again), expected, rule)


def two_forwards(case: Case) -> None:
    """After two forward passes, the backward passes may run in either order, with the same gradients."""
    trial = Trial(case)
    both = case.inputs, trial.other_inputs()
    alone = [trial.gradients(inputs) for inputs in both]
    for order in ((0, 1), (1, 0)):
        flights = [trial.forward(inputs) for inputs in both]
        for which in order:
            output, saved = flights[which]
            trial.module.zero_grad()
            rule = f"be what forward {which + 1} alone gives, with two in flight answered in order {order}"
            require_equal(trial.answer(trial.upstream(output), saved), alone[which], rule)


def shared_module(case: Case) -> None:
    """If a network uses a module twice, the parameter gradients of both uses are added."""
    trial = Trial(case)
    trial.require_parameters()
    both = case.inputs, trial.other_inputs()
    alone = [trial.gradients(inputs) for inputs in both]
    trial.module.zero_grad()
    flights = [trial.forward(inputs) for inputs in both]
    for output, saved in reversed(flights):
        trial.backward(trial.upstream(output), saved)
    for name, actual in trial.parameter_gradients().items():
        parts = [gradients[name] for gradients in alone]
        uses = [gradient for gradient in parts if gradient is not None]
        expected = torch.stack(uses).sum(0) if uses else None
        require_close(name, actual, expected, "be the sum over both uses of a shared module")


def nothing_written(case: Case) -> None:
    """Inputs, outputs, upstream gradients, saved values and parameters are not modified."""
    trial = Trial(case)
    inputs, options = (
        mapped(value, lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf)
        for value in (case.inputs, dict(case.options))
    )
    parameters = {f"parameter {name}": parameter.value for name, parameter in trial.module.named_param()}
    before = Snapshot(trial.named_tensors(inputs) | tensors(options, "option") | parameters)
    output, saved = trial.forward(inputs, options)
    before.require_unchanged("forward")
    d_output = trial.upstream(output)
    seen = tensors(output, "output") | tensors(saved, "saved") | tensors(d_output, "upstream gradient")
    between = Snapshot(before.tensors | seen)
    trial.backward(d_output, saved)
    between.require_unchanged("backward")


def nothing_kept(case: Case) -> None:
    """forward stores no tensor on the module: what backward needs is returned as saved."""
    trial = Trial(case)

    def held() -> dict[str, Tensor]:
        return {
            name: tensor
            for path, module in trial.module.named_modules()
            for key, value in vars(module).items()
            if not key.startswith("_module_")
            for name, tensor in tensors(value, f"{path}.{key}" if path else key).items()
        }

    before = held()
    trial.forward(case.inputs)
    for name, tensor in held().items():
        if before.get(name) is not tensor:
            raise CheckError(f"attribute {name} must not be set by forward: return it in saved, got {tensor.shape}")


def accumulation(case: Case) -> None:
    """backward adds to existing gradients."""
    trial = Trial(case)
    trial.require_parameters()
    once = trial.gradients(case.inputs)
    trial.module.zero_grad()
    start: Gradients = {}
    for name, parameter in trial.module.named_param():
        if once[f"gradient of {name}"] is not None:
            parameter.grad = torch.randn_like(parameter.value)
            start[f"gradient of {name}"] = parameter.grad.clone()
    output, saved = trial.forward(case.inputs)
    trial.backward(trial.upstream(output), saved)
    after = trial.parameter_gradients()
    for name, first in start.items():
        added = once[name]
        expected = first if added is None or first is None else first + added
        require_close(name, after[name], expected, "be added to the gradient that was there")


def fresh_gradients(case: Case) -> None:
    """A parameter's gradient shares no memory with a tensor that is held elsewhere."""
    trial = Trial(case)
    trial.require_parameters()
    output, saved = trial.forward(case.inputs)
    d_output = trial.upstream(output)
    others = trial.named_tensors(case.inputs) | tensors(output, "output") | tensors(d_output, "upstream gradient")
    others |= tensors(saved, "saved")
    others |= tensors(trial.backward(d_output, saved), "gradient of input")
    for name, parameter in trial.module.named_param():
        others[f"parameter {name}"] = parameter.value
    for name, parameter in trial.module.named_param():
        if parameter.grad is None or not parameter.grad.numel():
            continue
        for other, tensor in others.items():
            if tensor.untyped_storage().data_ptr() == parameter.grad.untyped_storage().data_ptr():
                raise CheckError(f"gradient of {name} must be a fresh tensor, got one that shares memory with {other}")
        others[f"gradient of {name}"] = parameter.grad
