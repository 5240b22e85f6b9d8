"""What the schedules check about their arguments."""

from mytorch.core import ArgumentError


def require_count(owner: object, subject: str, value: object) -> None:
    """Raise ArgumentError unless `value` is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{type(owner).__name__}: {subject} must be an integer of at least 1, got {value!r}")
