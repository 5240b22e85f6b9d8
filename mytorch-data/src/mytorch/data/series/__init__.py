"""Series of steps in time."""

from mytorch.data.series.windows import Windows, horizon_of

__all__ = ["Windows", "horizon_of"]
