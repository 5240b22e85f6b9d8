"""A module under test, set up so that equal calls give equal results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.structure import is_floating, leaves, mapped

Gradients = dict[str, Tensor | None]


@dataclass(frozen=True)
class Case:
    """What is checked: a way to build a module, its inputs in float64, and how.

    predictions: None for a layer; for a loss, how many of the first inputs it returns gradients for.
    tags: what its author says of it, which some checks ask for.
    reference: the formula in torch's operations, a function of the parameters by name and of the inputs.
    """

    factory: Callable[[], Module]
    inputs: tuple[Any, ...]
    seed: int
    training: bool
    predictions: int | None = None
    tags: frozenset[str] = frozenset()
    reference: Callable[..., Any] | None = None

    @property
    def differentiated(self) -> tuple[Any, ...]:
        """The inputs that backward returns gradients for."""
        return self.inputs[: self.predictions]


class Trial:
    """A new module of a case in float64, with noise on its parameters (ones and zeros hide mistakes)."""

    def __init__(self, case: Case) -> None:
        self.case = case
        torch.manual_seed(case.seed)
        self.module = case.factory().to(torch.float64).train(case.training)
        for parameter in self.module.param():
            parameter.value = parameter.value + 0.1 * torch.randn_like(parameter.value)
        self.remember_buffers()
        self._generators = [
            (value, value.get_state())
            for module in self.module.modules()
            for value in vars(module).values()
            if isinstance(value, torch.Generator)
        ]

    def remember_buffers(self) -> None:
        """From now on, `rewind` sets the buffers back to what they are now."""
        self._buffers = [(buffer, buffer.value.clone()) for _, buffer in self.module.named_buffer()]

    def rewind(self) -> None:
        """Set buffers and random streams back, so that the next forward does what the last one did."""
        torch.manual_seed(self.case.seed + 1)
        for buffer, value in self._buffers:
            buffer.value = value.clone()
        for generator, state in self._generators:
            generator.set_state(state)

    def forward(self, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
        """The module's forward, from the same state every time."""
        self.rewind()
        result = self.module.forward(*inputs)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise CheckError(f"forward must return (output, saved), got {type(result).__name__}")
        return result

    def upstream(self, output: Any) -> Any:
        """A random upstream gradient of both signs for each floating-point output; a number for a loss's value."""
        generator = torch.Generator().manual_seed(self.case.seed + 2)

        def draw(leaf: Any) -> Any:
            if not is_floating(leaf):
                return None
            drawn = torch.randn(leaf.shape, dtype=leaf.dtype, generator=generator)
            return float(drawn) - 2.0 if self.case.predictions is not None and not leaf.dim() else drawn

        return mapped(output, draw)

    def gradients(self, inputs: tuple[Any, ...]) -> Gradients:
        """Every gradient of one forward and backward, by the names of inputs and parameters."""
        self.module.zero_grad()
        output, saved = self.forward(inputs)
        d_input = self.module.backward(self.upstream(output), saved)
        return self.input_gradients(d_input) | self.parameter_gradients()

    def require_parameters(self) -> None:
        """Raise Skip if there are none, so that nothing would be compared."""
        if not self.module.param():
            raise Skip("it has no parameters")

    def parameter_gradients(self) -> Gradients:
        """Copies of the parameters' gradients."""
        return {
            f"gradient of {name}": None if parameter.grad is None else parameter.grad.clone()
            for name, parameter in self.module.named_param()
        }

    def input_gradients(self, d_input: Any) -> Gradients:
        """What backward returned by input; CheckError unless it has the structure of the inputs."""
        inputs = self.case.differentiated
        given = (d_input,) if len(inputs) == 1 else d_input
        if not isinstance(given, tuple) or len(given) != len(inputs):
            rule = f"a tuple of {len(inputs)} gradients, one an input"
            raise CheckError(f"backward must return {rule}, got {type(d_input).__name__}")
        found = dict(leaves(given, "gradient of input"))
        expected = dict(leaves(inputs, "gradient of input"))
        for path, gradient in found.items():
            if gradient is not None and path not in expected:
                raise CheckError(f"backward must return gradients nested as the inputs are, got one at {path}")
        gradients: Gradients = {}
        for path, leaf in expected.items():
            gradient = found.get(path)
            if is_floating(leaf):
                if gradient is not None and (gradient.shape, gradient.dtype) != (leaf.shape, leaf.dtype):
                    raise CheckError(
                        f"{path} must be {tuple(leaf.shape)} {leaf.dtype}, "
                        f"got {tuple(gradient.shape)} {gradient.dtype}"
                    )
                gradients[path] = gradient
            elif gradient is not None:
                raise CheckError(f"{path} must be None for an input without a derivative, got {gradient!r}")
        return gradients

    def objective(self, output: Any, d_output: Any) -> Tensor:
        """The scalar whose gradient backward computes: the sum of output * d_output."""
        pairs = zip(leaves(output, ""), leaves(d_output, ""), strict=True)
        parts = [(leaf * d_leaf).sum() for (_, leaf), (_, d_leaf) in pairs if is_floating(leaf)]
        return torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64)

    def other_inputs(self) -> tuple[Any, ...]:
        """Inputs of the same shapes and range with other values; a loss keeps its targets."""

        def other(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or not leaf.numel():
                return leaf
            return leaf.roll(1) * 0.9 if leaf.is_floating_point() else leaf.roll(1)

        case = self.case
        return (*mapped(case.differentiated, other), *case.inputs[len(case.differentiated) :])


def require_equal(actual: Gradients, expected: Gradients, rule: str) -> None:
    """Raise CheckError unless every gradient that is expected is there."""
    for name, gradient in expected.items():
        require_close(name, actual[name], gradient, rule)
