"""Callbacks of a training: early stopping, the best weights, averaged weights, progress."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.train.callbacks.early_stopping import EarlyStopping
    from mytorch.train.callbacks.ema import EMA
    from mytorch.train.callbacks.keep_best import KeepBest
    from mytorch.train.callbacks.progress import Progress
    from mytorch.train.callbacks.swa import SWA

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.train.callbacks.early_stopping": ("EarlyStopping",),
        "mytorch.train.callbacks.ema": ("EMA",),
        "mytorch.train.callbacks.keep_best": ("KeepBest",),
        "mytorch.train.callbacks.progress": ("Progress",),
        "mytorch.train.callbacks.swa": ("SWA",),
    },
)

__all__ = ["EMA", "SWA", "EarlyStopping", "KeepBest", "Progress"]
