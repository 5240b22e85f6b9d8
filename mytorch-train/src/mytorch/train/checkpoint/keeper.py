"""What writes the state of a training to its file, now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from mytorch.core import ArgumentError
from mytorch.plugins import shown
from mytorch.train.checkpoint.checkpoint_file import Packed

EVERY = 20.0
"""Seconds between two checkpoints, so that a killed process loses little."""
SOON = 1.0
"""The first one is taken after the first epoch that ends so many seconds after the start."""
SHARE = 0.02
"""At most this share of the time goes into copying the state, whatever `every` says."""


class Keeper:
    """Writes checkpoints of one training: a copy is taken at once, and a thread writes it while training goes on.

    path: the file; a later checkpoint takes its place.
    every: seconds between two.
    Raises ArgumentError for a time that is none.
    """

    def __init__(self, path: str | Path, every: float = EVERY) -> None:
        if isinstance(every, bool) or not isinstance(every, (int, float)) or not 0 <= every < math.inf:
            raise ArgumentError(f"checkpoint_every: must be a number of seconds of at least 0, got {shown(every)}")
        if not isinstance(path, (str, Path)):
            raise ArgumentError(f"checkpoint: must be the path of a file, got {shown(path)}")
        self.path, self.every = Path(path), every
        self._next = time.monotonic() + every
        self._soon: float = time.monotonic() + min(every, SOON)
        self._writer: Thread | None = None
        self._failure: BaseException | None = None

    def due(self) -> bool:
        """Whether it is time for the next checkpoint, and the last one is written: nobody waits for a slow disk."""
        return time.monotonic() >= self._next and (self._writer is None or not self._writer.is_alive())

    def due_first(self) -> bool:
        """Whether none was taken yet, though an epoch is complete and so is a second."""
        return time.monotonic() >= self._soon

    def keep(self, state_of: Callable[[], Any], wait: bool = False) -> None:
        """Take a copy of a state and write it, once the last one is written.

        wait: until it is written; otherwise what goes wrong is raised by the next call.
        Raises FileError for a file that cannot be written.
        """
        self.close()
        started = time.monotonic()
        packed = Packed.of(state_of())
        now = time.monotonic()
        self._soon = math.inf
        self._next = now + max(self.every, (now - started) / SHARE if self.every else 0.0)
        if wait:
            packed.write(self.path)
            return
        writer = Thread(target=self._write, args=(packed,), name="mytorch checkpoint")
        try:
            writer.start()
        except RuntimeError:  # the system gives no other thread, or no memory for one
            packed.write(self.path)
        else:
            self._writer = writer

    def close(self) -> None:
        """Wait until the last one is written. Raises what went wrong then."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write(self, packed: Packed) -> None:
        try:
            packed.write(self.path)
        except BaseException as error:  # for the training, which is told at the next call
            self._failure = error
