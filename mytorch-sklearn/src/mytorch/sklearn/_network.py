"""The network of an estimator: a copy of a module, what a function makes, or a plain perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor

from mytorch.core import ArgumentError, Module, ShapeError, kind_of, require_kind
from mytorch.nn import Identity, Linear, ReLU, Sequential, Sigmoid, Tanh
from mytorch.plugins import shown
from mytorch.train.batches import misfit
from mytorch.train.evaluation import judging, predict

ACTIVATIONS = {"identity": Identity, "logistic": Sigmoid, "relu": ReLU, "tanh": Tanh}
"""Under scikit-learn's names."""


def build_network(
    owner: str,
    module: Module | Callable[[int, int], Module] | None,
    sizes: tuple[int, int],
    hidden: int | Sequence[int],
    activation: str | Callable[[], Module],
) -> Module:
    """The network of an estimator, new or copied. Raises ArgumentError for what makes none.

    sizes: the number of features and that of outputs, which a function is called with.
    """
    if module is None:
        return perceptron(owner, sizes, hidden, activation)
    if isinstance(module, Module):
        return deepcopy(module)
    if not callable(module) or (hasattr(module, "state_dict") and not isinstance(module, type)):
        require_kind(owner, "module", module, Module)  # which a network of torch is not
    if problem := misfit(module, *sizes):
        raise ArgumentError(
            f"{owner}: module must be a Module, or a function or class that makes one of (n_features, n_outputs), got "
            f"{shown(module)}: {problem}"
        )
    net = module(*sizes)
    require_kind(owner, "what module makes", net, Module)
    return net


def perceptron(
    owner: str, sizes: tuple[int, int], hidden: int | Sequence[int], activation: str | Callable[[], Module]
) -> Sequential:
    """Linear layers of the sizes given, with an activation after each but the last."""
    make: Any = ACTIVATIONS.get(activation) if isinstance(activation, str) else activation
    if not callable(make) or isinstance(make, Module):
        raise ArgumentError(
            f"{owner}: activation must be one of {', '.join(ACTIVATIONS)}, or the class of a layer, got "
            f"{shown(activation)}"
        )
    layers: list[Module] = []
    size, outputs = sizes
    for width in _widths(owner, hidden):
        layers += [Linear(size, width), make()]
        size = width
    return Sequential(*layers, Linear(size, outputs))


def _widths(owner: str, hidden: Any) -> list[int]:
    try:
        widths = [hidden] if not hasattr(hidden, "__len__") else list(hidden)
        whole = [int(width) for width in widths]
    except (TypeError, ValueError):
        widths, whole = [hidden], []
    if whole != widths or any(width < 1 or isinstance(width, bool) for width in widths):
        raise ArgumentError(f"{owner}: hidden_layer_sizes must be whole numbers of at least 1, got {shown(hidden)}")
    return whole


def try_out(owner: str, net: Module, x: Tensor, columns: int) -> None:
    """Run a network on a few rows, which tells lazy layers their sizes. Raises ShapeError unless its output fits."""
    with judging(net):
        y = predict(net, x)
    if not isinstance(y, Tensor) or y.shape != (len(x), columns):
        got = f"a tensor of {tuple(y.shape)}" if isinstance(y, Tensor) else kind_of(y)
        raise ShapeError(f"{owner}: module must give {columns} numbers a row, got {got} for {len(x)} rows")
