"""The step between PyTorch's autograd and a module's own backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import RLock
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from mytorch.core import AutogradError, ContractError, Loss, Module, Parameter, add_path, kind_of, require_pair
from mytorch.train.interop._taken_apart import at_places, mapped, put_together, taken_apart

ONE_BACKWARD = RLock()
"""Held within a backward, which leaves gradients at the parameters for a moment: threads may share a module."""


@dataclass(eq=False)
class Call:
    """One forward: what is called, and what autograd need not see of it.

    temporary: whether the parameters' values are for this call alone, so that they are put in and taken out.
    inputs: the positional inputs, with places in the stead of tensors.
    count: how many tensors are inside of the inputs.
    device: the kind of device on which it computes.
    output: what forward returned, with places in the stead of tensors; the forward sets it.
    """

    module: Module
    parameters: Sequence[Parameter]
    temporary: bool
    inputs: tuple[Any, ...]
    count: int
    device: str
    options: dict[str, Any]
    output: Any = None

    def take(self, function: Callable[..., Any], tensors: Sequence[Tensor], values: Sequence[Tensor]) -> Any:
        """What a forward, or the module, makes of the inputs. An error names the path to the layer."""
        with installed(self.parameters, values) if self.temporary else nullcontext():
            return named(self.module, lambda: function(*put_together(self.inputs, tensors), **self.options))


def compute(call: Call, tensors: Sequence[Tensor], values: Sequence[Tensor]) -> Any:
    """The module's output, as an operation of autograd if it would record one."""
    with _without_autocast(call.device):
        if torch.is_grad_enabled() and any(each.requires_grad for each in (*tensors, *values)):
            outputs = Computed.apply(call, *tensors, *values)  # type: ignore[no-untyped-call]
            return put_together(call.output, outputs)
        return call.take(call.module, tensors, values)


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


class Computed(Function):
    """A module's forward as one operation of autograd, whose derivative is the module's backward.

    What the module saves is kept by autograd: so it is freed after the backward, kept where the graph is retained,
    and found changed if somebody wrote into it.
    """

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Returns the tensors of the output."""
        values = tensors[call.count :]
        pair = call.take(call.module.forward, tensors[: call.count], values)
        require_pair(call.module, pair)
        outputs, call.output = taken_apart(_each_once(pair[0]))
        saved, ctx.saved = taken_apart(pair[1])
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(y for y in outputs if not (y.is_floating_point() or y.is_complex())))
        ctx.save_for_backward(*values, *saved)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs and of the parameters. Raises AutogradError if they are to be differentiated."""
        call: Call = ctx.call
        if torch.is_grad_enabled():
            raise AutogradError(
                f"to_torch: gradients of {type(call.module).__name__} must not be differentiated once more, since its "
                "backward is its own, got create_graph=True; leave it out, or use the layers of torch.nn here"
            )
        kept = [tensor.detach() for tensor in ctx.saved_tensors]
        values, saved = kept[: len(call.parameters)], kept[len(call.parameters) :]
        wanted = ctx.needs_input_grad[1:]
        if all(d is None for d in d_outputs):
            return None, *(None for _ in wanted)
        d_output = put_together(call.output, d_outputs)
        with (
            ONE_BACKWARD,
            _without_autocast(call.device),
            installed(call.parameters, values),
            _input_gradient(call.module, any(wanted[: call.count])),
            gathered(call.parameters, wanted[call.count :]) as d_parameters,
        ):
            d_input = named(call.module, lambda: call.module.backward(d_output, put_together(ctx.saved, saved)))
        return None, *_of_inputs(call, d_input), *d_parameters


def named(module: Module, compute: Callable[[], Any]) -> Any:
    """What is computed; an error names the path to the layer."""
    try:
        return compute()
    except Exception as error:
        add_path(error, module)
        raise


def _each_once(output: Any) -> Any:
    """An output in which no tensor stands twice, since autograd gives each one gradient."""
    seen: set[int] = set()

    def once(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        if id(leaf) in seen:
            return leaf.view_as(leaf)
        seen.add(id(leaf))
        return leaf

    return mapped(output, once)


def _of_inputs(call: Call, d_input: Any) -> list[Any]:
    """The gradient of each tensor among the inputs. Raises ContractError if there is no entry for each input."""
    if isinstance(call.module, Loss):
        d_inputs: Any = (d_input, *(None for _ in call.inputs[1:]))
    else:
        d_inputs = (d_input,) if len(call.inputs) == 1 else d_input
    if d_inputs is None:
        return [None] * call.count
    if not isinstance(d_inputs, (tuple, list)) or len(d_inputs) != len(call.inputs):
        got = f"{len(d_inputs)} entries" if isinstance(d_inputs, (tuple, list)) else kind_of(d_inputs)
        raise ContractError(
            f"{type(call.module).__name__}: backward must return one gradient for each of {len(call.inputs)} "
            f"positional inputs, got {got}"
        )
    return at_places(call.inputs, tuple(d_inputs), call.count)


@contextmanager
def installed(parameters: Sequence[Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Within this context, parameters have other values."""
    before = [parameter.value for parameter in parameters]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.value = value
    try:
        yield
    finally:
        for parameter, value in zip(parameters, before, strict=True):
            parameter.value = value


@contextmanager
def gathered(parameters: Sequence[Parameter], wanted: Sequence[bool]) -> Iterator[list[Tensor | None]]:
    """Within this context, backwards add to gradients of their own; the list has them when it has ended.

    wanted: for which parameters there is to be a gradient at all.
    """
    before = [(parameter.grad, parameter.trainable) for parameter in parameters]
    found: list[Tensor | None] = []
    for parameter, trained in zip(parameters, wanted, strict=True):
        parameter.grad, parameter.trainable = None, trained
    try:
        yield found
        found += [parameter.grad for parameter in parameters]
    finally:
        for parameter, (grad, trainable) in zip(parameters, before, strict=True):
            parameter.grad, parameter.trainable = grad, trainable


@contextmanager
def _input_gradient(module: Module, wanted: bool) -> Iterator[None]:
    """Within this context, a backward returns the gradient of the input, or leaves it out."""
    if module.input_grad is wanted:
        yield
        return
    before = [(vars(each), each.input_grad) for each in module.modules()]
    module.input_grad = wanted
    try:
        yield
    finally:
        for held, flag in before:
            held["input_grad"] = flag
