"""New weights for a whole network, drawn by a named rule."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import ArgumentError, Module, Parameter, require_initialized
from mytorch.core.tree import own
from mytorch.plugins import catalogue, nearest

Generator = torch.Generator | None
Rule = Callable[..., None]


def initialize(net: Module, name: str, generator: Generator = None, **options: Any) -> None:
    """Draw new values for every parameter of `net`, from torch's generator or from the one given.

    name:
        default           what each layer's constructor draws (PyTorch's defaults)
        xavier_normal     weights and their biases from N(0, s^2), s = gain * sqrt(2 / (n_in + n_out)); gain=1
        xavier_uniform    weights uniform within gain * sqrt(6 / (n_in + n_out)), biases 0; gain=1
        kaiming_normal    weights from N(0, s^2), s = f / sqrt(n), biases 0; a=0, mode="fan_in" (n is n_in) or
                          "fan_out", nonlinearity="leaky_relu" (f = sqrt(2 / (1 + a^2))) or another
        kaiming_uniform   weights uniform within f * sqrt(3 / n), biases 0; options as in kaiming_normal
        zeros             every parameter 0
        constant          every parameter the number given as value=

    A weight is a parameter with two or more axes; biases are the other parameters of the same layer. A layer with
    no weights, such as a norm, is reset to its own default, whatever the rule (but for zeros and constant). A layer
    without `reset_parameters` keeps its values then.

    Another installed distribution may offer more in the group "mytorch.initializers": a function of a module, a
    generator and options, called for every module of `net`.
    Raises UnknownNameError for an unknown name and ArgumentError for an unknown option, with the nearest ones;
    UninitializedError, with nothing drawn, if a lazy layer has not seen its first input.
    Sources: Glorot and Bengio 2010 (xavier), He et al. 2015 (kaiming).
    """
    rule: Rule = catalogue().load("initializer", name)
    _check_options(name, rule, options)
    require_initialized("initialize", net.named_param())
    for module in net.modules():
        rule(module, generator, **options)


def _check_options(name: str, rule: Rule, options: dict[str, Any]) -> None:
    _, _, *parameters = inspect.signature(rule).parameters.values()
    known = {parameter.name: parameter.default for parameter in parameters}
    for option in options:
        if option not in known:
            raise ArgumentError(f"initialize: {name} has no option {option!r}. {nearest(option, known)}")
    for option, default in known.items():
        if default is inspect.Parameter.empty and option not in options:
            raise ArgumentError(f"initialize: {name} must be given a {option}, got none; write {option}=...")


def default(module: Module, generator: Generator) -> None:
    """What the layer's constructor draws."""
    reset = getattr(module, "reset_parameters", None)
    if reset is None:
        return
    takes_generator = "generator" in inspect.signature(reset).parameters
    reset(generator=generator) if takes_generator else reset()


def _weights_and_biases(module: Module, generator: Generator) -> tuple[list[Tensor], list[Tensor]]:
    """The layer's own, both empty for a layer without weights, which is reset instead."""
    values = [parameter.value for _, parameter in own(module, Parameter)]
    weights = [value for value in values if value.dim() > 1]
    if not weights:
        default(module, generator)
        return [], []
    return weights, [value for value in values if value.dim() <= 1]


def xavier_normal(module: Module, generator: Generator, gain: float = 1.0) -> None:
    """Weights and biases from N(0, s^2), s = gain * sqrt(2 / (n_in + n_out))."""
    weights, biases = _weights_and_biases(module, generator)
    for weight in weights:
        init.xavier_normal_(weight, gain, generator=generator)
    for bias in biases:  # a layer's biases have the deviation of its first weight
        n_out, n_in, *kernel = weights[0].shape
        deviation = gain * math.sqrt(2 / ((n_in + n_out) * math.prod(kernel)))
        init.normal_(bias, 0.0, deviation, generator=generator)


def _with_zero_biases(draw: Callable[[Tensor], object], module: Module, generator: Generator) -> None:
    weights, biases = _weights_and_biases(module, generator)
    for weight in weights:
        draw(weight)
    for bias in biases:
        init.zeros_(bias)


def xavier_uniform(module: Module, generator: Generator, gain: float = 1.0) -> None:
    """Weights uniform within gain * sqrt(6 / (n_in + n_out)), biases 0."""
    _with_zero_biases(lambda weight: init.xavier_uniform_(weight, gain, generator=generator), module, generator)


def kaiming_normal(
    module: Module, generator: Generator, a: float = 0.0, mode: Any = "fan_in", nonlinearity: Any = "leaky_relu"
) -> None:
    """Weights from N(0, s^2), s = f / sqrt(n_in), biases 0."""
    _with_zero_biases(
        lambda weight: init.kaiming_normal_(weight, a, mode, nonlinearity, generator=generator), module, generator
    )


def kaiming_uniform(
    module: Module, generator: Generator, a: float = 0.0, mode: Any = "fan_in", nonlinearity: Any = "leaky_relu"
) -> None:
    """Weights uniform within f * sqrt(3 / n_in), biases 0."""
    _with_zero_biases(
        lambda weight: init.kaiming_uniform_(weight, a, mode, nonlinearity, generator=generator), module, generator
    )


def constant(module: Module, generator: Generator, value: float) -> None:  # noqa: ARG001
    """Every parameter the number given as value=."""
    for _, parameter in own(module, Parameter):
        init.constant_(parameter.value, value)


def zeros(module: Module, generator: Generator) -> None:
    """Every parameter 0."""
    constant(module, generator, 0.0)
