"""Whether an optimizer changes values in place, in every dtype and layout, and nothing else."""

from __future__ import annotations

import warnings
from functools import partial

import torch
from torch import Tensor

from mytorch.core import Parameter
from mytorch.plugins import COMPILING, is_older
from mytorch.testing.compare import same_bits
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.optimizer.trial import STEPS, OptimizerCase, OptimizerTrial
from mytorch.testing.tracing import graph_error


def gradients_unwritten(case: OptimizerCase) -> None:
    """A step does not modify the gradients."""
    trial = OptimizerTrial(case).run([0])
    given: list[tuple[Parameter, Tensor, Tensor]] = []

    def evaluate() -> Tensor:
        value = trial.give_gradients(1)
        given[:] = [(p, p.grad, p.grad.clone()) for p in trial.parameters if p.grad is not None]
        return value

    trial.step(evaluate)
    for parameter, grad, copy in given:
        if parameter.grad is not grad or not same_bits(copy, grad):
            raise CheckError(f"the gradient of shape {tuple(copy.shape)} must not be written into, but step did")


def value_in_place(case: OptimizerCase) -> None:
    """A step changes each value in place and never replaces the tensor."""
    trial = OptimizerTrial(case)
    before = [(p.value, p.value.data_ptr()) for p in trial.parameters]
    trial.run()
    for parameter, (value, address) in zip(trial.parameters, before, strict=True):
        if parameter.value is not value or value.data_ptr() != address:
            shape = tuple(value.shape)
            raise CheckError(f"the value of shape {shape} must be changed in place, got another tensor after step")


def zero_grad(case: OptimizerCase) -> None:
    """zero_grad sets every gradient to None."""
    trial = OptimizerTrial(case).run()
    trial.optimizer.zero_grad()
    if any(parameter.grad is not None for parameter in trial.parameters):
        raise CheckError("zero_grad must set every gradient to None, got one that is still there")


def float32(case: OptimizerCase) -> None:
    """In float32, values and state are float32, and the values are close to the float64 result."""
    trial = OptimizerTrial(case, torch.float32).run()
    _require_dtype(trial, torch.float32)
    expected = OptimizerTrial(case).run().values
    trial.require_values(expected, "be close to what float64 gives", rtol=1e-3, atol=1e-4)


def moved(case: OptimizerCase) -> None:
    """If values are converted to float32 between two steps, the state is converted, too."""
    trial = OptimizerTrial(case).run(range(3))
    for parameter in trial.parameters:
        parameter.value = parameter.value.to(torch.float32)
    trial.run(range(3, STEPS))
    _require_dtype(trial, torch.float32)
    expected = OptimizerTrial(case).run().values
    trial.require_values(expected, "be close to what float64 gives, though moved after 3 steps", rtol=1e-3, atol=1e-4)


def _require_dtype(trial: OptimizerTrial, dtype: torch.dtype) -> None:
    for parameter in trial.parameters:
        held = {"value": parameter.value, **trial.optimizer.state.get(parameter, {})}
        for name, tensor in held.items():
            shaped = isinstance(tensor, Tensor) and tensor.shape == parameter.value.shape and name != "step"
            if shaped and tensor.is_floating_point() and tensor.dtype is not dtype:
                raise CheckError(f"{name} must be {dtype} as its parameter is, got {tensor.dtype}")


def non_contiguous(case: OptimizerCase) -> None:
    """Values and gradients that are not contiguous give the same result."""
    trial = OptimizerTrial(case)
    for parameter in trial.parameters:
        parameter.value = _strided(parameter.value)
    trial.optimizer = case.factory(trial.parameters)

    def evaluate(number: int) -> Tensor:
        value = trial.give_gradients(number)
        for parameter in trial.parameters:
            assert parameter.grad is not None
            parameter.grad = _strided(parameter.grad)
        return value

    for number in range(STEPS):
        trial.step(partial(evaluate, number))
    trial.require_values(OptimizerTrial(case).run().values, "be the same where memory is not contiguous")


def _strided(tensor: Tensor) -> Tensor:
    return torch.stack([tensor, torch.zeros_like(tensor)], -1)[..., 0]


def no_elements(case: OptimizerCase) -> None:
    """A parameter without elements does not affect the others."""
    expected = OptimizerTrial(case).run().values
    trial = OptimizerTrial(case)
    trial.optimizer = case.factory([*trial.parameters, empty := Parameter(torch.zeros(0, 2, dtype=torch.float64))])
    empty.grad = torch.zeros(0, 2, dtype=torch.float64)
    trial.run()
    trial.require_values(expected, "be the same beside a parameter without elements")


def determinism(case: OptimizerCase) -> None:
    """Two optimizers with the same seed make the same updates."""
    trials = [OptimizerTrial(case).run() for _ in range(2)]
    trials[1].require_values(trials[0].values, "be the same under the same seed", rtol=0, atol=0)


def inference_mode(case: OptimizerCase) -> None:
    """Steps inside and outside of inference mode may follow each other."""
    trial = OptimizerTrial(case)
    with torch.inference_mode():
        trial.run(range(3))
    for parameter in trial.parameters:
        for name, held in trial.optimizer.state.get(parameter, {}).items():
            entries = held if isinstance(held, list) else [held]
            if any(isinstance(entry, Tensor) and entry.is_inference() for entry in entries):
                raise CheckError(f"state {name!r} must outlive inference mode: make it with mytorch.core.persistent")
    trial.run(range(3, STEPS))
    trial.require_values(OptimizerTrial(case).run().values, "be the same in and out of inference mode")


def no_autograd(case: OptimizerCase) -> None:
    """In grad mode, a step leaves no autograd graph behind."""
    trial = OptimizerTrial(case)
    with torch.enable_grad():
        trial.run()
    for parameter in trial.parameters:
        if parameter.value.requires_grad:
            shape = tuple(parameter.value.shape)
            raise CheckError(f"the value of shape {shape} must not be part of an autograd graph, got one that is")


def traceable(case: OptimizerCase) -> None:
    """torch.compile compiles a step as one graph, with the same result."""
    if "not_traceable" in case.tags:
        raise Skip("tag not_traceable")
    if is_older(torch.__version__, COMPILING):
        raise Skip(f"torch {torch.__version__} traces too little: {COMPILING} or newer is needed")
    trial = OptimizerTrial(case)
    if trial.optimizer.needs_closure:
        raise Skip("its step needs a closure, which is not compiled")
    compiled = torch.compile(trial.optimizer.step, fullgraph=True, backend="eager")
    with warnings.catch_warnings(), graph_error("step"):
        warnings.simplefilter("ignore")  # of the compiler, about this Python
        for number in range(STEPS):
            trial.give_gradients(number)
            compiled()
    trial.require_values(OptimizerTrial(case).run().values, "be the same from a compiled step")
