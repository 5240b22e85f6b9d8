"""What can go wrong with a training, or with a model on disk."""

import signal

from mytorch.core import MytorchError
from mytorch.plugins import FileError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Those that ask a training to end."""


class RunError(FileError):
    """A run, or a model on disk, is missing or damaged; the text names the file and the way out."""


class NotFiniteError(MytorchError, ArithmeticError):
    """A loss or value stopped being finite; the text names epoch, batch and the layer where it first appeared."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the training to end; `signum` is its number, which determines the exit status in a shell.

    It is a KeyboardInterrupt for SIGTERM and SIGHUP as well, so that code which handles Ctrl-C handles these.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by {signal.Signals(signum).name}")
        self.signum = signum


class RankError(MytorchError, RuntimeError):
    """One of several processes that train together ended, did not join, or trains something else; the text says which.

    rank, reason: which one ended and why, where it said so.
    """

    def __init__(self, text: str, rank: int | None = None, reason: str | None = None) -> None:
        super().__init__(text)
        self.rank, self.reason = rank, reason
