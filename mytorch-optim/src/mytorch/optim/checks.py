"""What optimizers and schedules check about their arguments."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, Parameter, require_range
from mytorch.core.checks import is_number
from mytorch.plugins import shown


def require_count(owner: object, subject: str, value: object, low: int = 1) -> None:
    """Raise ArgumentError unless `value` is an integer of at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ArgumentError(
            f"{type(owner).__name__}: {subject} must be an integer of at least {low}, got {shown(value)}"
        )


def require_setting(
    owner: object, subject: str, value: object, low: float = -math.inf, high: float = math.inf
) -> None:
    """Raise ArgumentError unless `value` is a finite number, or a tensor of one, between `low` and `high`."""
    name = type(owner).__name__
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex():
            raise ArgumentError(f"{name}: {subject} must be one number, got a tensor of {tuple(value.shape)}")
    elif not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ArgumentError(f"{name}: {subject} must be a number, got {shown(value)}")
    if not is_number(value):
        raise ArgumentError(f"{name}: {subject} must be a finite number, got {shown(value)}")
    if (low, high) != (-math.inf, math.inf):
        require_range(name, subject, value, low, high)
    if not math.isfinite(value):
        raise ArgumentError(f"{name}: {subject} must be finite, got {value}")


def require_at_least_0(owner: object, group: Mapping[str, Any], *names: str) -> None:
    """Raise ArgumentError unless the settings of these names are finite numbers of at least 0."""
    for name in names:
        require_setting(owner, name, group[name], 0.0)


def require_flags(owner: object, group: Mapping[str, Any], *names: str) -> None:
    """Raise ArgumentError unless the settings of these names are True or False."""
    for name in names:
        require_flag(owner, name, group[name])


def require_flag(owner: object, subject: str, value: object) -> None:
    """Raise ArgumentError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{type(owner).__name__}: {subject} must be True or False, got {shown(value)}")


def require_real(owner: object, parameters: Iterable[Parameter]) -> None:
    """Raise ArgumentError for complex parameters, to an optimizer whose formula is one of real numbers."""
    for parameter in parameters:
        if parameter.value.is_complex():
            raise ArgumentError(f"{type(owner).__name__}: params must be real, got {parameter.value.dtype}")


def require_betas(owner: object, betas: object) -> None:
    """Raise ArgumentError unless `betas` are two numbers of at least 0 and below 1."""
    numbers = require_pair_of_numbers(owner, "betas", betas)
    for place, beta in enumerate(numbers):
        if not 0 <= beta < 1:
            raise ArgumentError(f"{type(owner).__name__}: betas[{place}] must be at least 0 and below 1, got {beta}")


def require_pair_of_numbers(owner: object, subject: str, pair: object) -> tuple[float, float]:
    """The two numbers. Raises ArgumentError for anything else, and for numbers that are not finite."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ArgumentError(f"{type(owner).__name__}: {subject} must be two numbers, got {shown(pair)}")
    for place, value in enumerate(pair):
        if isinstance(value, Tensor):
            raise ArgumentError(f"{type(owner).__name__}: {subject}[{place}] must be a number, got a tensor")
        require_setting(owner, f"{subject}[{place}]", value)
    return pair[0], pair[1]


def require_counts(owner: object, subject: str, values: Iterable[int], low: int = 1) -> list[int]:
    """The values as a list. Raises ArgumentError unless they are integers of at least `low`."""
    if isinstance(values, (str, Tensor)) or not isinstance(values, Iterable):
        raise ArgumentError(f"{type(owner).__name__}: {subject} must be a list of integers, got {shown(values)}")
    found = list(values)
    for place, value in enumerate(found):
        require_count(owner, f"{subject}[{place}]", value, low)
    return found


Of = TypeVar("Of")


def one_a_group(
    owner: object, subject: str, value: Of | Sequence[Of], optimizer: Optimizer, what: str = "number"
) -> list[Of]:
    """One value for each group of the optimizer. Raises ArgumentError for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count  # type: ignore[list-item]
    if len(value) != count:
        raise ArgumentError(
            f"{type(owner).__name__}: {subject} must have one {what} for each of {count} groups, got {len(value)}"
        )
    return list(value)


def functions_of_groups(
    owner: object,
    subject: str,
    value: Callable[[int], float] | Sequence[Callable[[int], float]],
    optimizer: Optimizer,
) -> list[Callable[[int], float]]:
    """A function of the step for each group of the optimizer. Raises ArgumentError for what is none."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{type(owner).__name__}: optimizer must be an Optimizer, got {shown(optimizer)}")
    found = one_a_group(owner, subject, value, optimizer, "function")
    for function in found:
        if not callable(function):
            raise ArgumentError(
                f"{type(owner).__name__}: {subject} must be a function of the step, got {shown(function)}"
            )
    return found


def factor_at(owner: object, subject: str, function: Callable[[int], float], at: int) -> float:
    """What a function gives there. Raises ArgumentError unless it is a finite number of at least 0."""
    factor = function(at)
    require_setting(owner, f"{subject}({at})", factor, 0.0)
    return float(factor)
