"""Whether a module works where it is put: on any device, and inside a compiled step."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.plugins import COMPILING, is_older
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import is_floating, mapped, tensors
from mytorch.testing.tracing import graph_error


def device(case: Case) -> None:
    """Outputs and gradients are on the device of inputs and parameters (tested with torch's meta device)."""
    trial = Trial(case)
    trial.rewind()
    module = trial.module.to("meta")
    inputs, options = (
        mapped(value, lambda leaf: leaf.to("meta") if isinstance(leaf, Tensor) else leaf)
        for value in (case.inputs, dict(case.options))
    )
    try:
        output, saved = trial.forward_again(inputs, options)
        d_input = trial.backward(mapped(output, lambda leaf: _like(leaf, case)), saved)
    except NotImplementedError:
        raise Skip("torch has no meta kernel for one of its operations") from None
    except ArgumentError as error:
        if "on the meta device, which has" in str(error):
            raise Skip("it looks at the values of its input, and says so") from None
        raise
    except RuntimeError as error:
        if "same device" in str(error) or "on device" in str(error):
            raise CheckError(f"every tensor must be made on the device of the input, got {error}") from None
        if "meta tensors" in str(error):
            raise Skip("it looks at the values of its input") from None
        raise
    found = tensors(output, "output") | tensors(d_input, "gradient of input")
    for name, parameter in module.named_param():
        found |= tensors(parameter.grad, f"gradient of {name}")
    for name, tensor in found.items():
        if tensor.device.type != "meta":
            raise CheckError(f"{name} must be on the device of inputs and parameters, meta, got {tensor.device}")


def _like(leaf: Any, case: Case) -> Any:
    if not is_floating(leaf):
        return None
    return 1.0 if case.predictions is not None and not leaf.dim() else torch.empty_like(leaf)


def traceable(case: Case) -> None:
    """torch.compile compiles forward and backward as one graph, with the same gradients."""
    if "not_traceable" in case.tags:
        raise Skip("tag not_traceable")
    if is_older(torch.__version__, COMPILING):
        raise Skip(f"torch {torch.__version__} traces too little: {COMPILING} or newer is needed")
    trial = Trial(case)
    expected = trial.gradients(case.inputs)
    d_output = trial.upstream(trial.forward(case.inputs)[0])
    module = trial.module

    def step(inputs: Any, d_output: Any) -> Any:
        output, saved = module.forward(*inputs, **case.options)
        return output, module.backward(d_output, saved)

    module.zero_grad()
    trial.rewind()
    with warnings.catch_warnings(), graph_error("forward and backward"):
        warnings.simplefilter("ignore")  # of the compiler, about this Python
        _, d_input = torch.compile(step, fullgraph=True, backend="eager")(case.inputs, d_output)
    for name, gradient in (trial.input_gradients(d_input) | trial.parameter_gradients()).items():
        require_close(name, gradient, expected[name], "be the same from the compiled step")
