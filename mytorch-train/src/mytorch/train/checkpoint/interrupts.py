"""Signals that ask a training to end: it does so after the batch at hand."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from mytorch.train.errors import SIGNALS, Interrupted


class Interrupts:
    """Within this context a first signal is only noted, in `received`; a second one raises Interrupted at once.

    Only signals that would end the process are taken: one that the program handles itself, or that it ignores, as
    `nohup` asks for, is left alone. So are all outside of the main thread, where Python handles none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted(number)
        self.received = number
