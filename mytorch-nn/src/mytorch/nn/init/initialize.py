"""New weights for a whole network, or for some of its layers, by named initialisers."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from mytorch.core import ArgumentError, Module, MytorchError, Parameter, require_initialized
from mytorch.core.patterns import matches
from mytorch.core.tree import own
from mytorch.nn.init.constant import constant_, ones_, zeros_
from mytorch.nn.init.fans import xavier_normal_
from mytorch.nn.init.spread import normal_
from mytorch.plugins import catalogue, nearest, shown

Generator = torch.Generator | None
Initializer = Callable[..., Any]
FILL_EVERYTHING = (constant_, ones_, zeros_)
"""Those that need no weight to tell them the spread of a bias."""


def initialize(net: Module, name: str, generator: Generator = None, **options: Any) -> None:
    """Draw new values for every parameter of `net`, from torch's generator or from the one given.

    name: of an initialiser of mytorch.nn.init without its underscore, with its options, such as "kaiming_normal" and
        nonlinearity="relu", or of another installed one; "default" for what each layer's constructor draws.

    It draws the weights, parameters with two or more axes; the other parameters of the same layer, its biases, become
    0. A layer without weights, such as a norm, is reset to its own default; one without `reset_parameters` keeps its
    values then. Two go another way: constant, ones and zeros fill every parameter, and xavier_normal draws biases with
    the deviation of the layer's first weight.

    Another installed distribution may offer more in the group "mytorch.initializers": a function that is given a
    tensor, fills it in place, and takes options and, if it draws anything, a `generator`.
    Raises UnknownNameError for an unknown name and ArgumentError for an unknown option, with the nearest ones;
    UninitializedError, with nothing drawn, if a lazy layer has not seen its first input; what the initialiser raises,
    with the path of the parameter.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, ReLU, Sequential, initialize
        >>> net = Sequential(Linear(3, 2), ReLU())
        >>> initialize(net, "orthogonal")
        >>> weight = net[0].weight.value
        >>> torch.allclose(weight @ weight.T, torch.eye(2), atol=1e-6)
        True
    """
    fill = None if name == "default" else _find(name, options)
    if fill is None and options:
        raise ArgumentError(f"initialize: default has no option {next(iter(options))!r}. There are none.")
    require_initialized("initialize", net.named_param())
    if fill is None:
        for module in _children_first(net, set()):
            _reset(module, generator)
        return
    for path, module in net.named_modules():
        _initialize_layer(path, module, fill, generator, options)


def initialize_where(
    net: Module,
    initializers: Mapping[str, str | Mapping[str, Any]],
    generator: Generator = None,
    *,
    layers: str | Sequence[str] = "*",
    names: str | Sequence[str] = "*",
) -> None:
    """Draw new values for some parameters of some layers, and leave the others as they are.

    initializers: what draws which parameter: names of parameters, or patterns of them such as "weight_*", with the
        name of an initialiser, as `initialize` takes it, or a dict with it as "type" and its options beside it
    layers, names: patterns of the classes and of the paths of layers, such as "Conv*" and "encoder.*", each one or
        several of which one must match; a layer must match both. Patterns are those of file names: * is anything,
        ? one character, [ab] one of these.

    Raises ArgumentError, with nothing drawn, if a pattern matches nothing, and what `initialize` raises.

    Example:
        >>> from mytorch.nn import Conv2d, Linear, Sequential, initialize_where
        >>> net = Sequential(Conv2d(1, 2, 3), Linear(4, 2))
        >>> kaiming = {"type": "kaiming_normal", "mode": "fan_out"}
        >>> initialize_where(net, {"weight": kaiming, "bias": "zeros"}, layers="Conv*")
        >>> net[0].bias.value
        tensor([0., 0.])
    """
    require_initialized("initialize", net.named_param())
    chosen = _chosen_layers(net, layers, names)
    fills = {pattern: _parse(said) for pattern, said in initializers.items()}
    for pattern in fills:
        _require_match(pattern, chosen)
    for path, module in chosen:
        for pattern, (fill, options) in fills.items():
            for name, parameter in _matching(module, pattern):
                _fill(f"{path}.{name}" if path else name, parameter, fill, generator, options)


def _initialize_layer(
    path: str, module: Module, fill: Initializer, generator: Generator, options: Mapping[str, Any]
) -> None:
    parameters = {f"{path}.{name}" if path else name: held for name, held in own(module, Parameter)}
    weights = {name: held for name, held in parameters.items() if held.value.dim() > 1}
    if fill in FILL_EVERYTHING:
        weights = parameters
    elif not weights:
        _reset(module, generator)
        return
    for name, weight in weights.items():
        _fill(name, weight, fill, generator, options)
    for name, bias in parameters.items():
        if name in weights:
            continue
        if fill is xavier_normal_:
            n_out, n_in, *kernel = next(iter(weights.values())).value.shape
            deviation = options.get("gain", 1.0) * math.sqrt(2 / ((n_in + n_out) * math.prod(kernel)))
            normal_(bias, 0.0, deviation, generator)
        else:
            zeros_(bias)


def _fill(
    path: str, parameter: Parameter, fill: Initializer, generator: Generator, options: Mapping[str, Any]
) -> None:
    draws = "generator" in inspect.signature(fill).parameters
    try:
        fill(parameter.value, **options, **({"generator": generator} if draws else {}))
    except MytorchError as error:
        error.add_note(f"at parameter {path!r}")
        raise


def _children_first(module: Module, seen: set[int]) -> Iterator[Module]:
    """Every module once, after those that it holds: attention's constructor draws last, too, and sets biases to 0."""
    seen.add(id(module))
    for child in module.children():
        if id(child) not in seen:
            yield from _children_first(child, seen)
    yield module


def _reset(module: Module, generator: Generator) -> None:
    """What the layer's constructor draws."""
    reset = getattr(module, "reset_parameters", None)
    if reset is None:
        return
    takes_generator = "generator" in inspect.signature(reset).parameters
    reset(generator=generator) if takes_generator else reset()


def _parse(said: str | Mapping[str, Any]) -> tuple[Initializer, dict[str, Any]]:
    if isinstance(said, str):
        return _find(said, {}), {}
    options = dict(said) if isinstance(said, Mapping) else {}
    name = options.pop("type", None)
    if not isinstance(name, str):
        raise ArgumentError(f"initialize: initializer must be a name, or a dict with a type, got {shown(said)}")
    return _find(name, options), options


def _find(name: str, options: Mapping[str, Any]) -> Initializer:
    """The initialiser of this name. Raises UnknownNameError; ArgumentError if it does not take the options."""
    fill: Initializer = catalogue().load("initializer", name)
    _, *parameters = inspect.signature(fill).parameters.values()
    known = {parameter.name: parameter.default for parameter in parameters if parameter.name != "generator"}
    for option in options:
        if option not in known:
            raise ArgumentError(f"initialize: {name} has no option {option!r}. {nearest(option, known)}")
    for option, default in known.items():
        if default is inspect.Parameter.empty and option not in options:
            raise ArgumentError(f"initialize: {name} must be given a {option}, got none; write {option}=...")
    return fill


def _chosen_layers(net: Module, layers: str | Sequence[str], names: str | Sequence[str]) -> list[tuple[str, Module]]:
    """The layers with parameters of their own that match. Raises ArgumentError if there is none."""
    holders = [(path, module) for path, module in net.named_modules() if any(own(module, Parameter))]
    of_kind = [(path, module) for path, module in holders if matches(type(module).__name__, layers)]
    if not of_kind:
        kinds = ", ".join(sorted({type(module).__name__ for _, module in holders})) or "no layer"
        raise ArgumentError(f"initialize: layers must match one with parameters, got {shown(layers)} for {kinds}")
    chosen = [(path, module) for path, module in of_kind if matches(path, names)]
    if not chosen:
        paths = [path for path, _ in of_kind]
        first = names if isinstance(names, str) else next(iter(names), "")
        raise ArgumentError(f"initialize: names must match a layer, got {shown(names)}. {nearest(first, paths)}")
    return chosen


def _require_match(pattern: str, chosen: list[tuple[str, Module]]) -> None:
    if not any(True for _, module in chosen for _ in _matching(module, pattern)):
        held = ", ".join(sorted({name for _, module in chosen for name, _ in own(module, Parameter)}))
        raise ArgumentError(f"initialize: {pattern!r} must match a parameter of the layers chosen, which have {held}")


def _matching(module: Module, pattern: str) -> Iterator[tuple[str, Parameter]]:
    return ((name, held) for name, held in own(module, Parameter) if matches(name, pattern))
