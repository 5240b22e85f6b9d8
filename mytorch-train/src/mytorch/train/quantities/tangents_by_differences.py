"""The tangents of a layer that does not state them: differences of its own forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Buffer, Directions, Loss, Module, RandomState, random_state, states_tangents, tree
from mytorch.train.observe import METHODS, Method, intercept
from mytorch.train.quantities.central_differences import TOLERANCE, derivative
from mytorch.train.quantities.structure import is_nested, mapped, tensors
from mytorch.train.quantities.warning import warn_of_differences, warn_of_error
from mytorch.train.unchanged import unchanged


@contextmanager
def tangents_for_all(net: Module, loss: Module) -> Iterator[None]:
    """Within this context, every module of both has `tangent` and `backward_tangent`.

    A layer that does not state them is computed at several places in float64, with the random numbers and buffers of
    its forward; a container that does not, as a whole. A QuantityWarning names it, once, and its error if it is large.
    """
    named = tree.once(
        [*net.named_modules(), *((f"loss.{path}".rstrip("."), each) for path, each in loss.named_modules())]
    )
    pause = _Pause()
    silent = [(path, module) for path, module in named if not states_tangents(module)]
    instead = {id(module): _ByDifferences(path, module, pause) for path, module in silent}

    def around(path: str, module: Module, name: str, method: Method) -> Method:  # noqa: ARG001
        replaced: Method = getattr(instead[id(module)], name)
        return replaced

    with intercept(silent, around, (*METHODS, "tangent", "backward_tangent")):
        yield


class _Pause:
    """Whether a container is computed as a whole, so that those in it are left alone."""

    def __init__(self) -> None:
        self.on = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before, self.on = self.on, True
        try:
            yield
        finally:
            self.on = before


class _Call(NamedTuple):
    """What a forward saved, and how to repeat it: it takes the place of the saved value on its way."""

    saved: Any
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Any
    state: RandomState
    buffers: list[tuple[Buffer, Tensor]]


class _ByDifferences:
    """What stands for the methods of one module."""

    def __init__(self, path: str, module: Module, pause: _Pause) -> None:
        self.path, self.module, self.pause = path, module, pause
        self.own_forward, self.own_backward = module.forward, module.backward
        self.told = False

    def forward(self, *inputs: Any, **options: Any) -> Any:
        if self.pause.on:
            return self.own_forward(*inputs, **options)
        state = random_state(self.module)
        buffers = [(buffer, buffer.value.clone()) for _, buffer in self.module.named_buffer()]
        with self.pause():
            pair = self.own_forward(*inputs, **options)
        if type(pair) is not tuple or len(pair) != 2:
            return pair
        return pair[0], _Call(pair[1], inputs, options, pair[0], state, buffers)

    def backward(self, d_output: Any, call: Any) -> Any:
        with self.pause():
            return self.own_backward(d_output, call.saved if isinstance(call, _Call) else call)

    def tangent(self, t_input: Any, call: _Call, along: Directions) -> tuple[Any, Any]:
        self._tell()
        line = _Line(self.module, self._inputs(call), t_input, along)
        if not line.unit:
            return None, t_input

        def output(s: float) -> Tensor:
            return _flat(self._forward_at(line, call, s)[0])

        with self._in_float64(line):
            return _like(call.output, self._derivative("tangent", output, line)), t_input

    def backward_tangent(
        self, d_output: Any, t_d_output: Any, call: _Call, t_input: Any, along: Directions
    ) -> tuple[Any, Any]:
        given = self._inputs(call)
        line = _Line(self.module, given, t_input, along)
        trained = [(held, held.value.dtype) for held in self.module.param() if held.trainable]
        d_output, t_d_output = mapped(_doubled, d_output), mapped(_doubled, t_d_output)

        def gradients(s: float, d: Any = d_output) -> tuple[Any, list[Tensor]]:
            _, saved = self._forward_at(line, call, s)
            self.module.zero_grad()
            d_input = self.own_backward(d, saved)
            return d_input, [torch.zeros_like(p.value) if p.grad is None else p.grad for p, _ in trained]

        def flat(s: float, d: Any = d_output) -> Tensor:
            return _flat(gradients(s, d))

        with self._in_float64(line):
            d_input, changes = gradients(0.0)
            total = flat(0.0, t_d_output)  # the backward is linear in d_output
            if line.unit:
                total = total + self._derivative("backward_tangent", flat, line)
            t_d_input, changes = _like((d_input, changes), total)
        for (parameter, dtype), change in zip(trained, changes, strict=True):
            parameter.accumulate(change.to(dtype).clone())
        return tuple(mapped(_as_given, each, given) for each in (d_input, t_d_input))

    def _tell(self) -> None:
        if not self.told:
            self.told = True
            warn_of_differences(self.path, self.module)

    def _derivative(self, method: str, function: Callable[[float], Tensor], line: _Line) -> Tensor:
        found, error = derivative(function, line.unit)
        if error > TOLERANCE:
            warn_of_error(self.path, self.module, method, error)
        return found

    def _inputs(self, call: _Call) -> Any:
        """The inputs in the structure of d_input."""
        return call.inputs[0] if self._is_alone(call) else call.inputs

    def _is_alone(self, call: _Call) -> bool:
        """Whether d_input is the gradient of the first input alone, as of a prediction with a target beside it."""
        return len(call.inputs) == 1 or (isinstance(self.module, Loss) and len(call.inputs) == 2)

    @contextmanager
    def _in_float64(self, line: _Line) -> Iterator[None]:
        with self.pause(), unchanged(self.module, self.module):
            self.module.double()
            line.start()
            yield

    def _forward_at(self, line: _Line, call: _Call, s: float) -> tuple[Any, Any]:
        """The forward where everything has moved by s along the line."""
        call.state.restore()
        for buffer, value in call.buffers:
            buffer.value = mapped(_doubled, value.clone())
        moved = (line.move(s), *mapped(_doubled, call.inputs[1:])) if self._is_alone(call) else line.move(s)
        pair: tuple[Any, Any] = self.own_forward(*moved, **mapped(_doubled, call.options))
        return pair


class _Line:
    """Where inputs and parameters are that move along their directions."""

    def __init__(self, module: Module, inputs: Any, t_input: Any, along: Directions) -> None:
        self.inputs = mapped(_doubled, inputs)
        self.t_input = mapped(_doubled, _spread(inputs, t_input))
        self.held = [(parameter, along[parameter].double()) for parameter in module.param()]
        moving = list(_pairs(self.inputs, self.t_input))
        moving += [(parameter.value.double(), direction) for parameter, direction in self.held]
        length = math.hypot(*(float(direction.norm()) for _, direction in moving))
        size = math.hypot(*(float(value.norm()) for value, _ in moving))
        count = sum(value.numel() for value, _ in moving)
        self.unit = max(1.0, size / count**0.5) / length if length else 0.0
        """0 where nothing moves."""

    def start(self) -> None:
        """Begin where the parameters now are."""
        self.values = [parameter.value for parameter, _ in self.held]

    def move(self, s: float) -> Any:
        """Move the parameters; return the inputs, moved."""
        for (parameter, direction), value in zip(self.held, self.values, strict=True):
            parameter.value = value + s * direction
        return mapped(lambda x, t: x if t is None else x + s * t, self.inputs, self.t_input)


def _spread(inputs: Any, t_input: Any) -> Any:
    """The tangents in the structure of the inputs, where None stands for all that is in it."""
    if not is_nested(inputs):
        return t_input
    return mapped(lambda _: None, inputs) if t_input is None else t_input


def _pairs(inputs: Any, t_input: Any) -> Iterator[tuple[Tensor, Tensor]]:
    found: list[tuple[Tensor, Tensor]] = []
    mapped(lambda x, t: None if t is None else found.append((x, t)), inputs, t_input)
    return iter(found)


def _flat(value: Any) -> Tensor:
    """Every floating-point number of a structure in a row."""
    parts = [leaf.flatten() for leaf in tensors(value) if leaf.is_floating_point()]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def _like(structure: Any, numbers: Tensor) -> Any:
    """The numbers in the places, shapes and dtypes of the floating-point tensors of a structure; None elsewhere."""
    rest = numbers

    def next_one(leaf: Any) -> Tensor | None:
        nonlocal rest
        if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
            return None
        part, rest = rest[: leaf.numel()], rest[leaf.numel() :]
        return part.reshape(leaf.shape).to(leaf.dtype)

    return mapped(next_one, structure)


def _doubled(leaf: Any) -> Any:
    return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf


def _as_given(d_input: Any, given: Any) -> Any:
    return d_input.to(given.dtype) if isinstance(d_input, Tensor) else d_input
