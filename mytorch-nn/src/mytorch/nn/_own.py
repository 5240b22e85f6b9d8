"""Whether a saved value is that of a layer like this one."""

from typing import Any

from mytorch.core import ArgumentError


def require_own(owner: object, what: str, own: Any, saved: Any) -> None:
    """Raise ArgumentError unless a setting of the layer that made a saved value is `own`, that of the owner.

    A saved value of another layer of the same class would give a wrong gradient, or lead a kernel beyond its memory.
    """
    if saved != own:
        raise ArgumentError(
            f"{type(owner).__name__}: saved must be that of a layer with {what} {own}, got one with {saved}; "
            "give each backward the saved value of its own forward"
        )
