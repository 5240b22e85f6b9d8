"""Whether a module treats its parameters as the contract says, in every dtype."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from mytorch.core import DescriptionError, Parameter, describe, rebuild
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Gradients, Trial
from mytorch.testing.structure import floating, is_floating, mapped, tensors


def listed_once(case: Case) -> None:
    """param() lists every parameter once, and named_param() lists the same ones."""
    module = Trial(case).module
    listed = [id(parameter) for parameter in module.param()]
    if len(set(listed)) < len(listed):
        raise CheckError(f"param() must list each parameter once, got {len(listed)} of {len(set(listed))} different")
    held = {
        id(value): f"{path}.{name}" if path else name
        for path, inner in module.named_modules()
        for name, value in vars(inner).items()
        if isinstance(value, Parameter)
    }
    held |= {id(parameter): name for name, parameter in module.named_param()}
    if not held:
        raise Skip("it has no parameters")
    for which, name in held.items():
        if which not in listed:
            raise CheckError(f"param() must list {name}, got only {len(listed)} of {len(held)} parameters")


def not_trainable(case: Case) -> None:
    """A parameter with trainable=False gets no gradient, and all others get theirs."""
    trial = Trial(case)
    trial.require_parameters()
    parameters = dict(trial.module.named_param())
    expected = trial.gradients(case.inputs)
    for frozen, parameter in parameters.items():
        parameter.trainable = False
        for name, gradient in trial.gradients(case.inputs).items():
            if name != f"gradient of {frozen}":
                require_close(name, gradient, expected[name], f"stay what it is with {frozen}.trainable=False")
            elif gradient is not None:
                raise CheckError(f"{name} must be None with trainable=False: use Parameter.accumulate, got a tensor")
        parameter.trainable = True


def float32(case: Case) -> None:
    """In float32, every output and gradient is float32 and close to the float64 result."""
    wide = Trial(case)
    output, saved = wide.forward(case.inputs)
    expected = floating(output, "output") | wide.answer(wide.upstream(output), saved)
    require_near(in_dtype(case, torch.float32), expected, "be close to that of float64")


def require_near(actual: Gradients, expected: Gradients, rule: str) -> None:
    """Raise CheckError unless numbers in float32 are as close to those in float64 as rounding allows."""
    for name, wanted in expected.items():
        scale = 1.0 if wanted is None or not wanted.numel() else max(1.0, float(wanted.abs().max()))
        value = actual.get(name)
        if value is not None:
            value = value.double()
        require_close(name, value, wanted, rule, rtol=1e-3, atol=1e-4 * scale)


def bfloat16(case: Case) -> None:
    """In bfloat16, forward and backward run, and every output and gradient is bfloat16."""
    in_dtype(case, torch.bfloat16)


def upstream_dtype(case: Case) -> None:
    """An upstream gradient of another dtype is refused, or gives the same gradients as in the right dtype."""
    trial = Trial(case)
    output, saved = trial.forward(case.inputs)
    upstream = mapped(trial.upstream(output), lambda leaf: None if leaf is None else _as_float32(leaf))
    rounded = mapped(upstream, lambda leaf: None if leaf is None else leaf.double())
    expected = trial.answer(rounded, saved)
    trial.module.zero_grad()
    _, saved = trial.forward(case.inputs)
    try:
        d_input = trial.module.backward(upstream, saved)
    except (RuntimeError, TypeError):  # torch's, or a DtypeError
        return
    found: Gradients = {**trial.input_gradients(mapped(d_input, _as_float64)), **trial.parameter_gradients()}
    for name, parameter in trial.module.named_param():
        if parameter.grad is not None and parameter.grad.dtype is not parameter.value.dtype:
            rule = f"gradient of {name} must have the dtype of {name}, {parameter.value.dtype}"
            raise CheckError(f"{rule}, got {parameter.grad.dtype}: use Parameter.accumulate, which converts it")
    require_near(found, expected, "be that of the same numbers where the upstream gradient is float32")


def _as_float32(leaf: Any) -> torch.Tensor:
    return torch.as_tensor(leaf, dtype=torch.float32)


def _as_float64(leaf: Any) -> Any:
    return leaf.double() if is_floating(leaf) else leaf


def in_dtype(case: Case, dtype: torch.dtype, laid_out: Callable[[Any], Any] = lambda leaf: leaf) -> Gradients:
    """Outputs and gradients of a module and inputs of a dtype; CheckError for one of another.

    laid_out: gives each tensor that the module is given another place in memory.
    """
    trial = Trial(case)
    wide = trial.upstream(trial.forward(case.inputs)[0])
    trial.rewind()
    trial.module.to(dtype)
    for parameter in trial.module.param():
        parameter.value = laid_out(parameter.value)
    trial.remember_buffers()

    def narrow(leaf: Any) -> Any:
        return laid_out(leaf.to(dtype) if is_floating(leaf) else leaf)

    inputs, options, upstream = (mapped(value, narrow) for value in (case.inputs, dict(case.options), wide))
    output, saved = trial.forward(inputs, options)
    found: Gradients = {**floating(output, "output"), **trial.answer(upstream, saved, inputs)}
    for name, value in found.items():
        if value is not None and value.dtype is not dtype:
            raise CheckError(f"{name} must be {dtype} where inputs and parameters are, got {value.dtype}")
    return found


def state_round_trip(case: Case) -> None:
    """A new module that loads the state gives the same output."""
    trial = Trial(case)
    if not trial.module.state_dict():
        raise Skip("it has no state")
    expected = tensors(trial.forward(case.inputs)[0], "output")
    trial.rewind()
    other = Trial(replace(case, seed=case.seed + 1))  # so that what the state leaves out differs
    other.case = case
    other.module.load_state_dict(trial.module.state_dict())
    other.remember_buffers()
    other.remember_random(case.seed)
    for name, value in tensors(other.forward(case.inputs)[0], "output").items():
        require_close(name, value, expected.get(name), "be the same after its state was loaded into a new module")


def description_round_trip(case: Case) -> None:
    """A module that is rebuilt from its description and loads the state gives the same output and gradients."""
    trial = Trial(case)
    expected = trial.gradients(case.inputs)
    trial.rewind()
    try:
        description, tensors_of = describe(trial.module)
    except DescriptionError as error:
        raise Skip(str(error)) from None
    other = Trial(case)
    other.module = rebuild(description, tensors_of).to(torch.float64).train(case.training)
    other.module.load_state_dict(trial.module.state_dict())
    other.remember_buffers()
    for name, gradient in other.gradients(case.inputs).items():
        require_close(name, gradient, expected[name], "be the same after it was rebuilt from its description")
