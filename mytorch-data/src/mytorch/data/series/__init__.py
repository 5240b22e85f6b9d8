"""Series of steps in time."""

from mytorch.data.series.windows import Windows

__all__ = ["Windows"]
