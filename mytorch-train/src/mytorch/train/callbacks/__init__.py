"""What takes part in a training: what ends it, what it keeps, what it shows."""

from mytorch.train.callbacks.early_stopping import EarlyStopping
from mytorch.train.callbacks.keep_best import KeepBest
from mytorch.train.callbacks.progress import Progress

__all__ = ["EarlyStopping", "KeepBest", "Progress"]
