"""Another derivative in place of that of units that jump, which is zero almost everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, Module, Rule
from mytorch.train.observe import intercept

Derivative = Callable[[Tensor], Tensor]
"""What takes the place of the derivative, for each distance from the threshold."""

METHOD = "surrogate_backward"
"""The backward of a layer that jumps: (d_y, saved, derivative) -> d_x, with this derivative for that of the jump."""


def jumps_of(rule: Rule, net: Module) -> list[tuple[str, Module]]:
    """The layers of a net that jump, with their paths. Raises ArgumentError if none does."""
    jumps = [(path, layer) for path, layer in net.named_modules() if callable(getattr(layer, METHOD, None))]
    if not jumps:
        layers = sorted({type(layer).__name__ for layer in net.modules() if next(layer.children(), None) is None})
        raise ArgumentError(
            f"{type(rule).__name__}: the model must have a layer that jumps, such as Heaviside, Sign or LIF, whose "
            f"backward takes another derivative ({METHOD}), got {', '.join(layers)}; train it without a rule"
        )
    return jumps


@contextmanager
def replaced(jumps: list[tuple[str, Module]], derivative: Derivative) -> Iterator[None]:
    """Within this context, layers that jump go back with a derivative in place of their own."""

    def around(path: str, module: Module, name: str, method: Callable[..., Any]) -> Callable[..., Any]:  # noqa: ARG001
        if name == "forward":
            return method
        return wraps(method)(partial(_back, getattr(module, METHOD), derivative))

    with intercept(jumps, around):
        yield


def _back(surrogate_backward: Callable[..., Any], derivative: Derivative, d_y: Any, saved: Any) -> Any:
    return surrogate_backward(d_y, saved, derivative)
