"""The activation of a transformer's layer, which torch takes as a name or as a function."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from mytorch.core import ArgumentError, Module
from mytorch.nn.activation import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from mytorch.plugins import shown

Activation = str | Callable[[Tensor], Tensor] | Module

NAMED: dict[str, Callable[[], Module]] = {"relu": ReLU, "gelu": GELU}
"""Those that a name stands for, as in torch."""

LAYERS: dict[str, Callable[[], Module]] = NAMED | {
    "celu": CELU,
    "elu": ELU,
    "hardsigmoid": Hardsigmoid,
    "hardswish": Hardswish,
    "hardtanh": Hardtanh,
    "leaky_relu": LeakyReLU,
    "logsigmoid": LogSigmoid,
    "mish": Mish,
    "relu6": ReLU6,
    "selu": SELU,
    "sigmoid": Sigmoid,
    "silu": SiLU,
    "softplus": Softplus,
    "softsign": Softsign,
    "tanh": Tanh,
    "tanhshrink": Tanhshrink,
}
"""The layer of each function of torch.nn.functional, by the name of the function."""


def activation_layer(owner: Module, activation: Activation) -> Module:
    """The layer that computes an activation. Raises ArgumentError for one whose derivative nobody has stated."""
    if isinstance(activation, Module):
        return activation
    if isinstance(activation, str) and activation in NAMED:
        return NAMED[activation]()
    name = getattr(activation, "__name__", "")
    if name in LAYERS and activation is getattr(F, name):
        return LAYERS[name]()
    raise ArgumentError(
        f"{type(owner).__name__}: activation must be 'relu', 'gelu', a layer such as SiLU(), or a function of "
        f"torch.nn.functional whose layer has no arguments, got {shown(activation)}"
    )


def described(activation: Module) -> str | Module:
    """The name of an activation that has one, else the layer itself."""
    if type(activation) is ReLU:
        return "relu"
    return "gelu" if type(activation) is GELU and activation.approximate == "none" else activation
