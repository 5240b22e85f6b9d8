"""What travels between two stages of a pipeline that follow each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, distributed

from mytorch.core import ArgumentError
from mytorch.train.parallel.pipeline.layout import Layout
from mytorch.train.parallel.processes import Processes


class Failed(Exception):
    """The stage at the other end could not compute what was to come: this step has failed."""


class Link:
    """Both ways between this stage and one next to it: outputs go to the later stage, gradients to the earlier one.

    Messages come in the order in which they were sent. The next one is received while this process computes.
    Which tensors an output has is told once for each `key`, the shapes of the inputs of a micro-batch.

    rank: of the process at the other end.
    """

    def __init__(self, processes: Processes, rank: int, device: torch.device) -> None:
        self.processes, self.rank, self.device = processes, rank, device
        self.layouts: dict[Hashable, Layout] = {}
        self._sent: deque[tuple[distributed.Work, Tensor]] = deque()
        self._posted: deque[tuple[distributed.Work, Tensor]] = deque()

    def send_output(self, key: Hashable, output: Any, failed: bool) -> None:
        """Give an output to the next stage, or word that there is none. Raises ArgumentError for what cannot go."""
        layout = None if failed else Layout.of(output)
        known = self.layouts.get(key)
        if known is None:
            self.processes.tell(self.rank, layout)
            if layout is None:
                return
            known = self.layouts[key] = layout
        elif layout not in (None, known):
            raise ArgumentError(
                f"stages: what a stage gives to the next must follow from the shapes of the inputs, got {layout} "
                f"for the same as {known} before; cut the model elsewhere, or train without stages"
            )
        if failed:
            self._send(known.failure(self.device))
        else:
            self._send(known.pack([output] if known.single else output, self.device))

    def expect_output(self, key: Hashable) -> None:
        """Begin to receive the next output, if its layout is known."""
        if key in self.layouts:
            self._post(self.layouts[key])

    def take_output(self, key: Hashable) -> Any:
        """The output that was begun to be received. Raises Failed where there is none."""
        if not self._posted:
            layout = self.processes.told(self.rank)
            if layout is None:
                raise Failed
            self.layouts[key] = layout
            self._post(layout)
        return self.layouts[key].output(self._taken())

    def send_gradient(self, key: Hashable, d_input: Any, failed: bool) -> None:
        """Give a gradient to the stage before; of an output that never was, there is none to give."""
        layout = self.layouts.get(key)
        if layout is not None:
            send = layout.gradients.failure(self.device) if failed else layout.pack_gradients(d_input, self.device)
            self._send(send)

    def expect_gradient(self, key: Hashable) -> None:
        """Begin to receive the next gradient."""
        if key in self.layouts:
            self._post(self.layouts[key].gradients)

    def take_gradient(self, key: Hashable) -> Any:
        """The gradient that was begun to be received. Raises Failed where there is none."""
        if key not in self.layouts:
            raise Failed
        return self.layouts[key].d_output(self._taken())

    def flush(self) -> None:
        """Wait until all that was sent has arrived."""
        while self._sent:
            self.processes.wait(self._sent.popleft()[0], self.rank)

    def _send(self, message: Tensor) -> None:
        while len(self._sent) > 1:  # the stage at the other end has asked for it by now
            self.processes.wait(self._sent.popleft()[0], self.rank)
        self._sent.append((self.processes.send(message, self.rank), message))

    def _post(self, layout: Layout) -> None:
        message = layout.empty(self.device)
        self._posted.append((self.processes.receive(message, self.rank), message))

    def _taken(self) -> Tensor:
        work, message = self._posted.popleft()
        self.processes.wait(work, self.rank)
        if message[0].item():
            raise Failed
        return message
