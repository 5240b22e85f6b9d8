"""What an optimizer's constructor is given: parameters, parameters with names, or groups with settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from mytorch.core.errors import ArgumentError
from mytorch.core.module import Module
from mytorch.core.parameter import Parameter
from mytorch.plugins import shown
from mytorch.plugins.errors import nearest

Group = dict[str, Any]
"""Settings by name, "params" (a list of parameters) and, where they were given, "param_names"."""


class Settings(dict[str, Any]):
    """A group that refuses a number outside its range when it is written: a step does not look at settings again.

    A tensor is taken as it is, since to look at its number may wait for a device; so is what comes by `update`, as
    from a schedule.
    """

    def __init__(self, group: Group, check: Callable[[Group], None]) -> None:
        super().__init__(group)
        self._check = check

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self and not isinstance(value, Tensor):
            self._check({**self, name: value})
        super().__setitem__(name, value)


_EXECUTION = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""How torch's optimizers compute what they compute: flags that say nothing about the result."""


def listed(owner: str, params: Any) -> list[Any]:
    """What the constructor was given, as a list of parameters, of pairs of name and parameter, or of groups.

    Raises ArgumentError for what holds no parameters, such as a module.
    """
    if isinstance(params, (dict, Parameter)):
        return [params]
    if isinstance(params, Module):
        raise ArgumentError(f"{owner}: params must hold Parameters, got the module itself; pass net.param()")
    if isinstance(params, (Tensor, str)) or not isinstance(params, Iterable):
        raise ArgumentError(
            f"{owner}: params must be an iterable of Parameters, got {type(params).__name__}; pass net.param()"
        )
    found = list(params)
    if not found:
        raise ArgumentError(f"{owner}: params must hold at least one Parameter, got none")
    return found


def split_names(owner: str, entries: list[Any]) -> tuple[list[Parameter], list[str] | None]:
    """The parameters of one group, and their names if they came as pairs, as `net.named_param()` gives them.

    Raises ArgumentError for anything but trainable tensors of this project, for some with names and some without,
    and for a parameter that has no value yet.
    """
    pairs = [isinstance(e, tuple) and len(e) == 2 and isinstance(e[0], str) for e in entries]
    if any(pairs) and not all(pairs):
        raise ArgumentError(f"{owner}: params must all have names or none, got some of each; pass net.named_param()")
    parameters = [entry[1] for entry in entries] if any(pairs) else entries
    for number, parameter in enumerate(parameters):
        _require_parameter(owner, parameter, f"{entries[number][0]!r}" if any(pairs) else f"at {number}")
    return parameters, [entry[0] for entry in entries] if any(pairs) else None


def _require_parameter(owner: str, parameter: Any, place: str) -> None:
    if not isinstance(parameter, Parameter):
        raise ArgumentError(
            f"{owner}: params must hold mytorch Parameters, got {_kind(parameter)} {place}; pass net.param()"
        )
    if not parameter.initialized:
        raise ArgumentError(
            f"{owner}: params must have their shapes, got a lazy Parameter {place} without a value; call the module "
            "once on a batch, or load its state, before you build the optimizer"
        )


def _kind(value: Any) -> str:
    cls = type(value)
    return f"{cls.__module__}.{cls.__name__}" if cls.__module__.startswith("torch") else cls.__name__


def numbers(groups: list[Group]) -> dict[Parameter, int]:
    """The number of each parameter in the order of the groups, as state dicts name it."""
    order = [parameter for group in groups for parameter in group["params"]]
    return {parameter: number for number, parameter in enumerate(order)}


def described(groups: list[Group], parameter: Parameter) -> str:
    """How an error names a parameter of these groups."""
    for group in groups:
        for place, other in enumerate(group["params"]):
            if other is parameter and "param_names" in group:
                return f"parameter {group['param_names'][place]!r}"
    return f"parameter {numbers(groups)[parameter]}"


def unknown_settings(names: Iterable[str], defaults: Mapping[str, Any]) -> list[str]:
    """Those of `names` that an optimizer with these settings does not know.

    A schedule keeps the bounds between which it moves a setting beside it, as torch does: initial_lr,
    max_momentum, swa_lr.
    """
    moved = {*defaults, "lr", "momentum"}
    bounds = {f"{bound}_{name}" for bound in ("initial", "base", "min", "max", "swa") for name in moved}
    return [name for name in names if name not in {*defaults, *bounds, "params", "param_names"}]


def require_known_settings(owner: str, group: Group, defaults: Mapping[str, Any]) -> None:
    """Raise ArgumentError if a group names a setting that the optimizer does not have."""
    if unknown := unknown_settings(group, defaults):
        name = unknown[0]
        raise ArgumentError(
            f"{owner}: a parameter group must hold settings of {owner}, "
            f"got {shown(name)}. {nearest(str(name), defaults)}"
        )


def loadable_settings(saved: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[Group, list[str]]:
    """The settings of a saved group that an optimizer with these settings takes over, and those it refuses.

    torch's flags of execution are left out, and so is an option that this optimizer does not have and that is off:
    False or None. One that is on means another formula.
    """
    unknown = [name for name in unknown_settings(saved, defaults) if name not in _EXECUTION]
    refused = [name for name in unknown if saved[name] is not None and saved[name] is not False]
    left_out = {"params", "param_names", *_EXECUTION, *unknown} - defaults.keys()
    return {name: value for name, value in saved.items() if name not in left_out}, refused


def missing_settings(saved: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """The settings of an optimizer that a saved group must have and has not, as the group of another optimizer.

    Flags may be missing, and so may what is None or 0 by default, as options that another version of torch does not
    have.
    """
    return [name for name, value in defaults.items() if name not in saved and _needed(value)]


def _needed(value: Any) -> bool:
    return isinstance(value, Tensor) or not (isinstance(value, bool) or value is None or value == 0)
