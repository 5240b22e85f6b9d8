"""A torch.autograd.Function as a module with a forward and a backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, kind_of
from mytorch.testing.errors import CheckError


class Context:
    """What a Function is given as `ctx`: it keeps tensors, and whatever else is set on it."""

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple[Tensor | None, ...] = ()
        self.materialize = True
        self.without_gradient: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        if wrong := [one for one in tensors if not isinstance(one, Tensor | None)]:
            raise CheckError(
                f"save_for_backward must be given tensors and None, got {kind_of(wrong[0])}; set it on ctx, since "
                "autograd refuses it"
            )
        self.saved_tensors = tensors

    def save_for_forward(self, *_tensors: Tensor | None) -> None:
        """For forward-mode derivatives, which are not checked."""

    def mark_dirty(self, *_tensors: Tensor) -> None:
        """For inputs that forward writes into, which the check of what is written finds."""

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """For outputs without a gradient."""
        self.without_gradient = tensors

    def is_marked(self, output: Any) -> bool:
        """Whether forward said that this output has no gradient."""
        return any(output is one for one in self.without_gradient)

    def set_materialize_grads(self, value: bool) -> None:
        self.materialize = value


class OfFunction(Module):
    """A Function whose forward is called with tensors and then with arguments that have no gradient."""

    def __init__(self, function: Any, arguments: Sequence[Any]) -> None:
        self.function, self.arguments_behind = function, tuple(arguments)

    def forward(self, *inputs: Tensor) -> tuple[Any, tuple[Context, tuple[Tensor, ...], Any]]:
        given = (*inputs, *self.arguments_behind)
        ctx = Context(tuple(isinstance(one, Tensor) and one.is_floating_point() for one in given))
        if self.function.setup_context is not torch.autograd.Function.setup_context:  # noqa: TID251  # not of its own
            y = self.function.forward(*given)
            self.function.setup_context(ctx, given, y)
        else:
            y = self.function.forward(ctx, *given)
        told = tuple(one for one in y if not ctx.is_marked(one)) if isinstance(y, tuple) else (y,)
        return (told if len(told) > 1 else told[0]), (ctx, inputs, y)

    def backward(self, d_y: Any, saved: tuple[Context, tuple[Tensor, ...], Any]) -> Any:
        ctx, inputs, y = saved
        outputs = y if isinstance(y, tuple) else (y,)
        told = iter(d_y if isinstance(d_y, tuple) else (d_y,))
        upstream = [None if ctx.is_marked(one) else next(told) for one in outputs]
        if ctx.materialize:
            upstream = [torch.zeros_like(o) if d is None else d for o, d in zip(outputs, upstream, strict=True)]
        found = self.function.backward(ctx, *upstream)
        gradients = found if isinstance(found, tuple) else (found,)
        self._require_count(gradients, len(inputs))
        return gradients[0] if len(inputs) == 1 else gradients[: len(inputs)]

    def _require_count(self, gradients: tuple[Any, ...], count: int) -> None:
        wanted = count + len(self.arguments_behind)
        if len(gradients) < wanted or any(one is not None for one in gradients[count:]):
            raise CheckError(
                f"backward must return a gradient for each of {count} tensors and None for each of "
                f"{wanted - count} arguments, got {len(gradients)} values"
            )
