"""A module under test, set up so that equal calls give equal results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, random_state, seed_torch
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip, tried
from mytorch.testing.inputs import input_names
from mytorch.testing.structure import is_floating, leaves, mapped, tensors

Gradients = dict[str, Tensor | None]


@dataclass(frozen=True)
class Case:
    """What is checked: a way to build a module, its inputs in float64, and how.

    predictions: None for a layer; for a loss, how many of the first inputs it returns gradients for.
    tags: what its author says of it, which some checks ask for.
    reference: the formula in torch's operations, a function of the parameters by name and of the inputs.
    options: the keyword arguments of its forward, tensors in float64, which have no gradient.
    constant: by the name of a parameter, the index of entries whose gradient is zero whatever forward does with them.
    """

    factory: Callable[[], Module]
    inputs: tuple[Any, ...]
    seed: int = 0
    training: bool = True
    predictions: int | None = None
    tags: frozenset[str] = frozenset()
    reference: Callable[..., Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    constant: Mapping[str, Any] = field(default_factory=dict)

    @property
    def differentiated(self) -> tuple[Any, ...]:
        """The inputs that backward returns gradients for."""
        return self.inputs[: self.predictions]

    @property
    def batch_axis(self) -> int:
        """Which axis of inputs and outputs counts the rows of a batch."""
        return 1 if "sequence_first" in self.tags else 0

    def with_differentiated(self, function: Callable[[Any], Any]) -> tuple[Any, ...]:
        """The inputs with each leaf of those that have gradients replaced; a loss keeps its targets."""
        return (*mapped(self.differentiated, function), *self.inputs[len(self.differentiated) :])


class Trial:
    """A new module of a case in float64, with noise on its parameters (ones and zeros hide mistakes)."""

    def __init__(self, case: Case) -> None:
        self.case = case
        seed_torch(case.seed)
        self.module = case.factory().to(torch.float64).train(case.training)
        if "lazy" in case.tags:
            self.forward_again(case.inputs)  # which gives it its weights
        elif is_lazy(self.module):
            raise CheckError("tags must name 'lazy' for a module that takes its sizes from its first input, got none")
        for parameter in self.module.param():
            parameter.value = parameter.value + 0.1 * torch.randn_like(parameter.value)
        self.remember_buffers()
        self.remember_random(case.seed)

    def remember_random(self, seed: int) -> None:
        """From now on, `rewind` sets the random streams back to those of a trial of this seed."""
        seed_torch(seed + 1)
        self._random = random_state(self.module)

    def remember_buffers(self) -> None:
        """From now on, `rewind` sets the buffers back to what they are now."""
        self._buffers = [(buffer, buffer.value.clone()) for _, buffer in self.module.named_buffer()]

    def rewind(self) -> None:
        """Set buffers and random streams back, so that the next forward does what the last one did."""
        for buffer, value in self._buffers:
            buffer.value = value.clone()
        self._random.restore()

    def forward(self, inputs: tuple[Any, ...], options: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        """The module's forward, from the same state every time."""
        self.rewind()
        return self.forward_again(inputs, options)

    def forward_again(self, inputs: tuple[Any, ...], options: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        """The module's forward, from the state in which the last one left it."""
        options = self.case.options if options is None else options
        with tried(lambda: f"forward({self._shown(inputs, options)})"):
            result = self.module.forward(*inputs, **options)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise CheckError(f"forward must return (output, saved), a tuple of two, got {_type_of(result)}")
        return result

    def is_random(self) -> bool:
        """Whether a second forward, from where the random streams then are, gives something else."""
        first = tensors(self.forward(self.case.inputs)[0], "")
        again = tensors(self.forward_again(self.case.inputs)[0], "")
        return any(not torch.equal(leaf, again[name]) for name, leaf in first.items())

    def backward(self, d_output: Any, saved: Any) -> Any:
        """The module's backward."""
        with tried(lambda: f"backward({', '.join(map(_described, _bare(d_output)))})"):
            return self.module.backward(d_output, saved)

    def named(self, inputs: tuple[Any, ...], prefix: str = "") -> dict[str, Any]:
        """What is inside of inputs, by the names that forward gives them."""
        names = input_names(self.module.forward, len(inputs))
        taken = {name for name, _ in self.module.named_param()}
        found: dict[str, Any] = {}
        for name, value in zip(names, inputs, strict=True):
            found |= leaves(value, f"{prefix}input {name}" if name in taken else f"{prefix}{name}")
        return found

    def named_tensors(self, inputs: tuple[Any, ...], prefix: str = "") -> dict[str, Tensor]:
        """The tensors inside of inputs, by the names that forward gives them."""
        return {name: leaf for name, leaf in self.named(inputs, prefix).items() if isinstance(leaf, Tensor)}

    def _shown(self, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        named = list(self.named(inputs).items())
        for name, value in options.items():
            named += leaves(value, name)
        return ", ".join(f"{name}: {_described(leaf)}" for name, leaf in named)

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
        return self.answer(self.upstream(output), saved, inputs)

    def answer(self, d_output: Any, saved: Any, inputs: tuple[Any, ...] | None = None) -> Gradients:
        """Every gradient that a backward leaves, those of parameters added to what was there."""
        d_input = self.backward(d_output, saved)
        return self.input_gradients(d_input, inputs) | self.parameter_gradients()

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

    def input_gradients(
        self, d_input: Any, inputs: tuple[Any, ...] | None = None, method: str = "backward"
    ) -> Gradients:
        """What a method returned by input; CheckError unless it has the structure of the inputs."""
        inputs = (self.case.inputs if inputs is None else inputs)[: self.case.predictions]
        given = (d_input,) if len(inputs) == 1 else d_input
        if not isinstance(given, tuple) or len(given) != len(inputs):
            rule = f"a tuple of {len(inputs)} gradients, one for each input that was passed"
            raise CheckError(f"{method} must return {rule}, got {_type_of(d_input)}")
        found, expected = self.named(given, "gradient of "), self.named(inputs, "gradient of ")
        for path, gradient in found.items():
            if gradient is not None and path not in expected:
                raise CheckError(f"{method} must return gradients nested as the inputs are, got one at {path}")
        return {
            path: _fitting(path, found.get(path), leaf)
            for path, leaf in expected.items()
            if is_floating(leaf) or found.get(path) is not None
        }

    def held_constant(self, name: str, gradient: Tensor | None) -> Tensor | None:
        """The gradient as it should be, with zeros where the author says that entries count as constants."""
        index = self.case.constant.get(name.removeprefix("gradient of "))
        if index is None or gradient is None:
            return gradient
        gradient = gradient.clone()
        gradient[index] = 0
        return gradient

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

        return self.case.with_differentiated(other)


def is_lazy(module: Module) -> bool:
    """Whether a module holds parameters or buffers without a value."""
    return not all(held.initialized for _, held in module.named_state())


def _type_of(value: Any) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__


def _described(leaf: Any) -> str:
    return f"{tuple(leaf.shape)} {str(leaf.dtype).removeprefix('torch.')}" if isinstance(leaf, Tensor) else repr(leaf)


def _bare(value: Any) -> list[Any]:
    return [leaf for _, leaf in leaves(value, "")]


def _fitting(path: str, gradient: Any, leaf: Any) -> Tensor | None:
    """The gradient of an input, if it is one."""
    if not is_floating(leaf):
        raise CheckError(f"{path} must be None for an input without a derivative, got {_described(gradient)}")
    if gradient is None:
        return None
    if not isinstance(gradient, Tensor):
        raise CheckError(f"{path} must be a tensor or None, got {type(gradient).__name__}")
    if (gradient.shape, gradient.dtype) != (leaf.shape, leaf.dtype):
        got = f"{tuple(gradient.shape)} {gradient.dtype}"
        raise CheckError(f"{path} must be {tuple(leaf.shape)} {leaf.dtype} as the input is, got {got}")
    return gradient


def require_equal(actual: Gradients, expected: Gradients, rule: str) -> None:
    """Raise CheckError unless every gradient that is expected is there."""
    for name, gradient in expected.items():
        require_close(name, actual[name], gradient, rule)
