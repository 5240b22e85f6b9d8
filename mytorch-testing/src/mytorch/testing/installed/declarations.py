"""Checking installed parts without a test file: how they are built and what they are fed is told or guessed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isfunction
from typing import Any

import torch

from mytorch.core import (
    ArgumentError,
    DataSet,
    Directions,
    Module,
    Optimizer,
    Parameter,
    Schedule,
    ShapeError,
    call_with,
    random_state,
    require_last_axis,
    require_same_device,
    require_upstream,
)
from mytorch.plugins import MissingRequirementError, Part, UnknownNameError, nearest
from mytorch.testing.callback.check_callback import declare_callback
from mytorch.testing.callback.trial import BATCHES, EPOCHS
from mytorch.testing.dataset.check_dataset import declare_dataset
from mytorch.testing.declaration import Declaration
from mytorch.testing.inputs import doubled, drawn
from mytorch.testing.layer.check_layer import declare_layer
from mytorch.testing.loss.check_loss import declare_loss
from mytorch.testing.module.trial import is_lazy
from mytorch.testing.optimizer.check_optimizer import declare_optimizer
from mytorch.testing.optimizer.trial import SHAPES as SHAPES_OF_PARAMETERS
from mytorch.testing.rule.check_rule import LR, declare_rule
from mytorch.testing.rule.check_rule import STEPS as STEPS_OF_RULES
from mytorch.testing.schedule.case import Plain
from mytorch.testing.schedule.check_schedule import declare_schedule
from mytorch.testing.structure import mapped

CHECKED = ("layer", "loss", "optimizer", "schedule", "dataset", "callback", "rule")
SHAPES = ((5, 3), (5, 3, 3), (5, 3, 3, 3), (3,))
GUESSES: dict[str, Any] = {"int": 3, "float": 0.1, "bool": False}
STEPS = 20


@dataclass(frozen=True)
class Told:
    """What the user, or the part itself, says.

    arguments: of the constructor;  inputs, options: of forward, by position and by name, such as masks
    constant: by the name of a parameter, the index of its entries without a gradient
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Any] = ()
    tags: Sequence[str] = ()
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    constant: Mapping[str, Any] = field(default_factory=dict)


def declarations(part: Part, told: Told) -> Iterator[tuple[str, Declaration]]:
    """Declarations of an installed part, each with a word on how it is fed.

    A part may say it itself, by an attribute `conformance` that is a dict with "arguments", "inputs", "options",
    "constant" or "tags", and a loss of several predictions with "predictions", their number, an optimizer of some
    parameters alone with "shapes", those of its parameters; a layer or loss that a check fails by the nature of its
    mathematics has "opt_out", the reason by the name of the check. What the user says comes before that. Inputs are
    shapes such as (5, 3), or tensors. An argument of a schedule that is a function is called with the optimizer: so
    are schedules built that another holds. One of a layer is called with nothing: so are layers built that another
    copies.
    Yields nothing for a layer without a forward of its own, such as a list of layers.
    Raises ArgumentError, with what to tell, if it cannot be built or takes none of the inputs that are tried, and
    PluginError if it cannot be imported.
    """
    if part.kind not in CHECKED:
        raise ArgumentError(f"check: kind must be one of {', '.join(CHECKED)}, got {part.kind} {part.name!r}")
    value = part.load()
    _require_fitting(part, told)
    told = _completed(told, value)
    build = {
        "layer": _layers,
        "loss": _losses,
        "optimizer": _optimizers,
        "schedule": _schedules,
        "dataset": _data_sets,
        "callback": _callbacks,
        "rule": _rules,
    }[part.kind]
    yield from build(part, value, told)


def _completed(told: Told, value: Any) -> Told:
    said = getattr(value, "conformance", {})
    return Told(
        {**said.get("arguments", {}), **told.arguments},
        tuple(told.inputs) or tuple(said.get("inputs", ())),
        tuple(told.tags) or tuple(said.get("tags", ())),
        told.seed,
        {**said.get("options", {}), **told.options},
        {**said.get("constant", {}), **told.constant},
    )


def _require_fitting(part: Part, told: Told) -> None:
    """Raise ArgumentError for what is told of a part that has no such thing."""
    for name, given, kinds in (("options", told.options, ("layer", "loss")), ("constant", told.constant, ("layer",))):
        if given and part.kind not in kinds:
            raise ArgumentError(
                f"check: {name} must be left out for anything but a {' or '.join(kinds)}, got {', '.join(given)} for "
                f"the {part.kind} {part.name!r}"
            )


def _require_known(part: Part, module: Module, told: Told) -> None:
    """Raise UnknownNameError for an option that is no keyword argument of forward."""
    parameters = inspect.signature(module.forward).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in told.options:
        if name not in parameters:
            raise UnknownNameError(
                f"check: forward of {part.name} has no argument {name!r}. {nearest(name, parameters)}"
            )


def _layers(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    factory = _factory(part, value, told)
    if type(factory()).forward is Module.forward:
        return
    _require_known(part, factory(), told)
    count = _required_inputs(factory())
    tried = [told.inputs] if told.inputs else [(shape,) * count for shape in SHAPES]
    inputs = _accepted(part, factory, tried, told.options)[0]
    tags = set(told.tags)
    if not told.tags and _refuses_another_axis(factory, inputs, told.options):
        tags.add("fixed_dimensions")
    if is_lazy(factory()):
        tags.add("lazy")
    declared = declare_layer(
        factory,
        *inputs,
        options=told.options,
        constant=told.constant,
        seed=told.seed,
        tags=tags,
        opt_out=_opt_out(value),
    )
    yield _words(inputs, tags, told.options), declared


def _losses(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    factory = _factory(part, value, told)
    rows = (5, 3)
    generator = torch.Generator().manual_seed(told.seed)
    shares = torch.rand(rows, dtype=torch.float64, generator=generator).softmax(-1)
    targets = [(rows, rows), (rows, shares), (rows, torch.randint(3, (5,), generator=generator)), (rows, rows, rows)]
    predictions = getattr(value, "conformance", {}).get("predictions", 1)
    _require_known(part, factory(), told)
    for inputs in _accepted(part, factory, [told.inputs] if told.inputs else targets, told.options):
        yield (
            _words(inputs, set(told.tags), told.options),
            declare_loss(
                factory,
                *inputs,
                predictions=predictions,
                options=told.options,
                seed=told.seed,
                tags=told.tags,
                opt_out=_opt_out(value),
            ),
        )


def _opt_out(value: Any) -> dict[str, str]:
    """The checks that a layer or loss says that it must fail, each with its reason."""
    said: dict[str, str] = getattr(value, "conformance", {}).get("opt_out", {})
    return said


def _optimizers(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    def factory(params: Any) -> Optimizer:
        built: Optimizer = _build(part, value, told, params)
        return built

    shapes = getattr(value, "conformance", {}).get("shapes", SHAPES_OF_PARAMETERS)
    factory([Parameter(torch.ones(shapes[0]))])
    yield "no reference", declare_optimizer(factory, seed=told.seed, tags=told.tags, shapes=shapes)


def _schedules(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    length = getattr(value, "length_argument", None)
    arguments = {**({length: STEPS + 1} if length else {}), **told.arguments}

    comes_first = next(iter(inspect.signature(value).parameters), None) == "optimizer"

    def factory(optimizer: Optimizer) -> Schedule:
        given = {name: entry(optimizer) if callable(entry) else entry for name, entry in arguments.items()}
        first = (optimizer,) if comes_first else ()
        built: Schedule = _build(
            part, value, Told(given if comes_first else {**given, "optimizer": optimizer}), *first
        )
        return built

    factory(Plain([Parameter(torch.ones(2))]))
    yield f"{STEPS} steps, no reference", declare_schedule(factory, steps=STEPS)


def _data_sets(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    def factory() -> DataSet:
        built: DataSet = _build(part, value, told)
        return built

    yield f"{len(factory())} rows", declare_dataset(factory, seed=told.seed, tags=told.tags)


def _callbacks(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    def factory() -> Any:
        return _build(part, value, told)

    factory()
    yield f"{EPOCHS} epochs of {BATCHES} steps", declare_callback(factory, seed=told.seed)


def _rules(part: Part, value: Any, told: Told) -> Iterator[tuple[str, Declaration]]:
    def factory() -> Any:
        return _build(part, value, told)

    factory()
    said = getattr(value, "conformance", {})
    lr, steps = said.get("lr", LR), said.get("steps", STEPS_OF_RULES)
    declared = declare_rule(factory, lr=lr, steps=steps, seed=told.seed, opt_out=_opt_out(value))
    yield f"{steps} steps of SGD with lr={lr:g}", declared


def _factory(part: Part, value: Any, told: Told) -> Callable[[], Module]:
    def factory() -> Module:
        arguments = {name: entry() if isfunction(entry) else entry for name, entry in told.arguments.items()}
        module: Module = _build(part, value, replace(told, arguments=arguments))
        return module

    factory()
    return factory


def _build(part: Part, value: Any, told: Told, *first: Any) -> Any:
    """The part, with the arguments that were told and guesses for the others that it needs."""
    arguments = {**_guessed(part, value, told, len(first)), **told.arguments}
    try:
        return call_with(partial(value, *first), arguments)
    except MissingRequirementError:
        raise
    except Exception as error:
        given = ", ".join(f"{name}={given!r}" for name, given in arguments.items())
        raise ArgumentError(
            f"check: {part.name}({given}) must be possible to build, got {type(error).__name__}: {error}; "
            "give its arguments: --set NAME=VALUE"
        ) from error


def _guessed(part: Part, value: Any, told: Told, given: int) -> dict[str, Any]:
    guessed: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(value).parameters.items())[given:]:
        annotation = parameter.annotation
        named = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
        first = named.split("|")[0].strip()
        several = parameter.kind is parameter.VAR_POSITIONAL
        optional = parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD
        if optional or (several and first != "Module") or name in told.arguments:
            continue
        if several:
            guessed[name] = [Gain(), Gain()]
        elif first == "Module":
            guessed[name] = Gain()
        elif first in GUESSES:
            guessed[name] = GUESSES[first]
        else:
            raise ArgumentError(
                f"check: argument {name!r} of {part.name} must be given, since what fits {first} cannot be guessed: "
                f"--set {name}=VALUE"
            )
    return guessed


class Gain(Module):
    """What a layer that holds another one is given: y = gain * x."""

    def __init__(self) -> None:
        self.gain = Parameter(torch.rand(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        require_last_axis(self, x, 3)
        return self.gain.value * x, x

    def backward(self, d_y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        require_upstream(self, d_y, x.shape)
        require_same_device(self, d_y, x, "d_y", "output")
        self.gain.accumulate((d_y * x).reshape(-1, 3).sum(0))
        return self.gain.value * d_y

    def tangent(
        self, t_x: torch.Tensor | None, x: torch.Tensor, along: Directions
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        t_y = along[self.gain] * x
        return t_y if t_x is None else t_y + self.gain.value * t_x, t_x

    def backward_tangent(
        self, d_y: torch.Tensor, t_d_y: torch.Tensor, x: torch.Tensor, t_x: torch.Tensor | None, along: Directions
    ) -> tuple[torch.Tensor, torch.Tensor]:
        change = t_d_y * x if t_x is None else t_d_y * x + d_y * t_x
        self.gain.accumulate(change.reshape(-1, 3).sum(0))
        return self.gain.value * d_y, self.gain.value * t_d_y + along[self.gain] * d_y


def _required_inputs(module: Module) -> int:
    parameters = inspect.signature(module.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return max(1, sum(p.kind in positional and p.default is p.empty for p in parameters))


def _accepted(
    part: Part, factory: Callable[[], Module], tried: Sequence[Sequence[Any]], options: Mapping[str, Any]
) -> list[Sequence[Any]]:
    """Those of the inputs that forward takes. Raises ArgumentError, with what came of the first, if it takes none."""
    failures = [_failure(factory, inputs, options) for inputs in tried]
    accepted = [inputs for inputs, failure in zip(tried, failures, strict=True) if failure is None]
    if not accepted:
        raise ArgumentError(
            f"check: {part.name} must take one of the inputs that are tried, got {failures[0]} for "
            f"{_words(tried[0], set(), options)}; give them: --input 5x3, or arguments that fit: --set NAME=VALUE"
        )
    return accepted


def _failure(factory: Callable[[], Module], inputs: Sequence[Any], options: Mapping[str, Any]) -> str | None:
    with random_state(), torch.no_grad():
        try:
            factory().to(torch.float64).forward(*drawn(tuple(inputs), 0), **doubled(options))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None


def _refuses_another_axis(factory: Callable[[], Module], inputs: Sequence[Any], options: Mapping[str, Any]) -> bool:
    def deeper(leaf: Any) -> Any:
        return leaf[None] if isinstance(leaf, torch.Tensor) else leaf

    with random_state(), torch.no_grad():
        try:
            deep = mapped(drawn(tuple(inputs), 0), deeper)
            factory().to(torch.float64).forward(*deep, **mapped(doubled(options), deeper))
        except ShapeError:
            return True
        except Exception:
            return False
    return False


def _words(inputs: Sequence[Any], tags: set[str], options: Mapping[str, Any]) -> str:
    shown = [f"{_kind(value)} {tuple(_shape(value))}" for value in inputs]
    named = f"; options: {', '.join(sorted(options))}" if options else ""
    tagged = f"; tags: {', '.join(sorted(tags))}" if tags else ""
    return f"inputs: {', '.join(shown)}{named}{tagged}"


def _shape(value: Any) -> Sequence[int]:
    return value.shape if isinstance(value, torch.Tensor) else value


def _kind(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return "normal"
    return "positive" if value.is_floating_point() else "whole"
