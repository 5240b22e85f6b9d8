"""Building a part of an experiment, with its arguments checked against its constructor first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from types import NoneType
from typing import Any, get_args, get_type_hints

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from torch import Tensor

from mytorch.core import MytorchError, call_with
from mytorch.experiments.errors import ExperimentError, UnknownKeyError
from mytorch.experiments.file.wording import rule_of, way_out
from mytorch.plugins import cut, lack_of_memory, listed, nearest, one_line, shown

Factory = Callable[..., Any]


def construct(path: str, factory: Factory, arguments: Mapping[str, Any], *given: str) -> Any:
    """Call a class or function with arguments from an experiment.

    given: arguments that the program fills in and no experiment may set.
    Raises ExperimentError that starts with the key: missing argument, wrong type, value out of range; UnknownKeyError
        for an argument that there is not.
    """
    arguments = load_tensors(path, factory, arguments)
    check_arguments(path, factory, arguments, *given)
    try:
        return call_with(factory, arguments)
    except MytorchError as error:
        raise ExperimentError(f"{path}: {error}") from error
    except Exception as error:  # a negative size is a RuntimeError of torch, and a stranger's code may raise anything
        reason = lack_of_memory(error) or one_line(error)
        raise ExperimentError(f"{path}: {_name(factory)} does not take these arguments: {reason}") from error


def check_arguments(path: str, factory: Factory, arguments: Mapping[str, Any], *given: str) -> None:
    """Check names and types of arguments without calling anything. Raises ExperimentError, UnknownKeyError."""
    parameters = inspect.signature(factory).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    settable = [
        name
        for name, parameter in parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name not in given
    ]
    hints, unknown = _hints(factory), []
    for name, value in arguments.items():
        if name in settable:
            variadic = parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            hint = hints.get(name, Any)
            _check_type(f"{path}.{name}", list.__class_getitem__(hint) if variadic else hint, value)
        elif not takes_any and name not in given:
            unknown.append(name)
    if unknown:
        raise UnknownKeyError(_misfit(path, factory, unknown, settable))
    for name in settable:
        parameter = parameters[name]
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
        if required and name not in arguments:
            key = f"{path}.{name}"
            raise ExperimentError(f"{key}: must be given for {_name(factory)}, in the file or with --set {key}=VALUE")


def _misfit(path: str, factory: Factory, unknown: list[str], settable: list[str]) -> str:
    """That a constructor has no such arguments, with the names near the first."""
    first, *others = unknown
    more = f", nor {listed([shown(name) for name in others])}" if others else ""
    return (
        f"{path}.{cut(first, 80)}: {_name(factory)} has no argument {shown(first)}{more}. {nearest(first, settable)}"
    )


def load_tensors(path: str, factory: Factory, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with tensors of torch's default dtype for lists where the constructor takes tensors.

    Raises ExperimentError for anything else that stands for a tensor in a file.
    """
    return {
        name: _tensor(f"{path}.{name}", value) if takes_tensor(factory, name) else value
        for name, value in arguments.items()
    }


def takes_tensor(factory: Factory, name: str) -> bool:
    """Whether an argument of a class or function is a tensor, or a tensor or None."""
    hint = _hints(factory).get(name)
    return hint is Tensor or set(get_args(hint)) == {Tensor, NoneType}


def _tensor(key: str, value: Any) -> Tensor | None:
    if value is None or isinstance(value, Tensor):
        return value
    try:
        if isinstance(value, list):
            return torch.tensor(value, dtype=torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ExperimentError(f"{key}: must be a list of numbers such as [1.0, 50.0], got {shown(value)}")


def load_functions(path: str, factory: Factory, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with functions for names such as "package.module:name" where the constructor takes functions.

    Raises ExperimentError for a name under which no function is installed.
    """
    hints = _hints(factory)
    taken = {name for name in arguments if "Callable" in str(hints.get(name))}
    return {name: _functions(f"{path}.{name}", value) if name in taken else value for name, value in arguments.items()}


def _functions(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_functions(f"{key}.{place}", entry) for place, entry in enumerate(value)]
    if not isinstance(value, str):
        return value
    found, why = None, "it names no function"
    try:
        found = resolve_name(value) if ":" in value else None
    except Exception as error:  # whatever importing a stranger's module may raise
        why = f"{type(error).__name__}: {one_line(error)}"
    if not callable(found):
        raise ExperimentError(
            f"{key}: must be an installed function as 'package.module:name', got {shown(value)} ({why})"
        )
    return found


def _name(factory: Factory) -> str:
    return getattr(factory, "__name__", repr(factory))


def _hints(factory: Factory) -> dict[str, Any]:
    try:
        return get_type_hints(factory.__init__ if isinstance(factory, type) else factory)  # type: ignore[misc]
    except Exception:  # a stranger's annotations may name what only a type checker knows
        return {}


def _check_type(key: str, hint: Any, value: Any) -> None:
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError):  # what only a stranger's code can judge
        return
    try:
        adapter.validate_python(tuple(value) if isinstance(value, list) and _wants_tuple(hint) else value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first, rules = problems[0], " or ".join(dict.fromkeys(map(rule_of, problems)))
        at = ".".join([key, *(str(part) for part in first["loc"] if isinstance(part, int))])
        raise ExperimentError(f"{at}: must be {rules}, got {shown(first['input'])}{way_out(first)}") from None


def _wants_tuple(hint: Any) -> bool:
    return "tuple[" in str(hint)
