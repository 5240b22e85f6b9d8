"""What layers share that come in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from mytorch.core import ArgumentError, Module, require_whole
from mytorch.plugins import shown

MOST = 2**31 - 1
"""Of the numbers that describe a window: torch's kernels count them with 32 bits."""


class Spatial(Module):
    """A layer over the last `dimensions` axes, which its class says: one body serves 1, 2 and 3 of them."""

    dimensions: ClassVar[int]
    conformance: ClassVar[dict[str, Any]] = {"tags": ("fixed_dimensions",)}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "dimensions" in vars(cls):  # the kit feeds each class a batch of two, three channels and sizes of 4
            cls.conformance = {"inputs": [(2, 3, *(4,) * cls.dimensions)], **cls.conformance}

    def _per_axis(self, name: str, value: Any, least: int) -> tuple[int, ...]:
        """One whole number for each dimension; a single one stands for all. Raises ArgumentError."""
        count = self.dimensions
        given = (value,) * count if type(value) is int else value
        if not (
            isinstance(given, Sequence)
            and len(given) == count
            and all(type(entry) is int and entry >= least for entry in given)
        ):
            several = f", or {count} of them" if count > 1 else ""
            raise ArgumentError(
                f"{self._name}: {name} must be a whole number of at least {least}{several}, got {shown(value)}"
            )
        for entry in given:
            require_whole(self, name, entry, least, MOST)
        return tuple(given)

    @property
    def _name(self) -> str:
        return type(self).__name__
