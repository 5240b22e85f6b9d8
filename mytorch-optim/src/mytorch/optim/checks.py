"""What optimizers and schedules check about their arguments."""

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, require_range


def require_count(owner: object, subject: str, value: object, low: int = 1) -> None:
    """Raise ArgumentError unless `value` is an integer of at least `low`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ArgumentError(f"{type(owner).__name__}: {subject} must be an integer of at least {low}, got {value!r}")


def require_setting(
    owner: object, subject: str, value: object, low: float = -math.inf, high: float = math.inf
) -> None:
    """Raise ArgumentError unless `value` is a finite number, or a tensor of one, between `low` and `high`."""
    name = type(owner).__name__
    if isinstance(value, Tensor):
        if value.numel() != 1 or value.is_complex():
            raise ArgumentError(f"{name}: {subject} must be one number, got a tensor of {tuple(value.shape)}")
    elif not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ArgumentError(f"{name}: {subject} must be a number, got {value!r}")
    require_range(name, subject, value, low, high)
    if not math.isfinite(value):
        raise ArgumentError(f"{name}: {subject} must be finite, got {value}")


def require_counts(owner: object, subject: str, values: Iterable[int], low: int = 1) -> list[int]:
    """The values as a list. Raises ArgumentError unless they are integers of at least `low`."""
    if isinstance(values, (str, Tensor)) or not isinstance(values, Iterable):
        raise ArgumentError(f"{type(owner).__name__}: {subject} must be a list of integers, got {values!r}")
    found = list(values)
    for place, value in enumerate(found):
        require_count(owner, f"{subject}[{place}]", value, low)
    return found


def one_a_group(owner: object, subject: str, value: float | Sequence[float], optimizer: Optimizer) -> list[float]:
    """A number for each group of the optimizer. Raises ArgumentError for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count  # type: ignore[list-item]
    if len(value) != count:
        raise ArgumentError(
            f"{type(owner).__name__}: {subject} must have one number for each of {count} groups, got {len(value)}"
        )
    return list(value)
