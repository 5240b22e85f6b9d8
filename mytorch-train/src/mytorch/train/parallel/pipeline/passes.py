"""The forwards and backwards of one step of a stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, add_path, require_pair
from mytorch.core.batch import Batch
from mytorch.train.errors import RankError
from mytorch.train.gradients import forward, loss_gradient
from mytorch.train.mean_loss import Weight
from mytorch.train.parallel.pipeline.layout import shapes_of
from mytorch.train.parallel.pipeline.link import Failed
from mytorch.train.parallel.pipeline.schedule import one_forward_one_backward
from mytorch.train.parallel.pipeline.stage import Stage
from mytorch.train.parallel.pipeline.times import Timed


class Passes:
    """Computes the micro-batches of one step, and exchanges outputs and gradients with the stages beside it.

    A stage that fails, or learns that another one did, computes nothing more; it sends word in place of numbers to the
    end of the step, so that no stage waits for what never comes.

    batches: the micro-batches, of which the first stage takes the inputs and the last one the targets.
    origin: when the step before ended, as `time.perf_counter` says.

    error: what failed here;  failed: whether the step has failed, here or elsewhere.
    seen: of the last stage, the loss of each micro-batch and its weight.  times: what was computed when.
    """

    def __init__(self, stage: Stage, loss: Module, batches: Sequence[Batch], origin: float) -> None:
        self.stage, self.loss, self.batches, self.origin = stage, loss, batches, origin
        self.keys = [shapes_of(inputs) for inputs, _ in batches]
        self.error: BaseException | None = None
        self.failed = False
        self.seen: list[tuple[Tensor, Weight]] = []
        self.times: list[Timed] = []
        self._saved: dict[int, Any] = {}
        self._d_output: dict[int, list[Any]] = {}

    def take(self) -> None:
        """All of them. Raises RankError where another process is gone."""
        stage = self.stage
        if stage.before is not None and self.keys:
            stage.before.expect_output(self.keys[0])
        for kind, number in one_forward_one_backward(stage.number, stage.count, len(self.batches)):
            if kind == "forward":
                self._forward(number)
            else:
                self._backward(number)
        for link in (stage.before, stage.after):
            if link is not None:
                link.flush()
        self._attempt(self._require_dense)

    def _forward(self, number: int) -> None:
        before, after, key = self.stage.before, self.stage.after, self.keys[number]
        inputs = [self.batches[number][0]]
        if before is not None:
            inputs = self._received(before.take_output, key)
            if number + 1 < len(self.keys):
                before.expect_output(self.keys[number + 1])
        output = self._attempt(lambda: self._through(inputs.pop(), number), "forward", number)
        if after is not None:
            self._send(lambda failed: after.send_output(key, output, failed))
            after.expect_gradient(key)

    def _backward(self, number: int) -> None:
        before, after, key = self.stage.before, self.stage.after, self.keys[number]
        d_output = self._d_output.pop(number, []) if after is None else self._received(after.take_gradient, key)
        saved = [self._saved.pop(number, None)]
        d_input = self._attempt(lambda: self.stage.part.backward(d_output.pop(), saved.pop()), "backward", number)
        if before is not None:
            self._send(lambda failed: before.send_gradient(key, d_input, failed))

    def _through(self, inputs: Any, number: int) -> Any:
        """The output of this stage; what it saved is kept, and so is the gradient of the loss in the last stage."""
        part = self.stage.part
        pair = forward(part, inputs) if self.stage.before is None else part.forward(inputs)
        if type(pair) is not tuple or len(pair) != 2:
            require_pair(part, pair)
        output, self._saved[number] = pair
        if self.stage.after is not None:
            return output
        targets = self.batches[number][1]
        value, weight, self._d_output[number] = loss_gradient(self.loss, output, targets, weighted=True)
        self.seen.append((value, weight))
        return None

    def _received(self, take: Callable[[Any], Any], key: Any) -> list[Any]:
        """What a stage beside this one sent, in a list that can be emptied; nothing if the step failed there."""
        try:
            return [take(key)]
        except Failed:
            self.failed = True
            return []

    def _attempt(
        self, compute: Callable[[], Any], kind: Literal["forward", "backward"] | None = None, number: int = 0
    ) -> Any:
        """What is computed, unless the step has failed; an error is kept."""
        if self.failed:
            return None
        begin = time.perf_counter()
        try:
            return compute()
        except BaseException as error:
            self._fail(error)
        finally:
            if kind is not None:
                self.times.append(Timed(kind, number, begin - self.origin, time.perf_counter() - self.origin))

    def _send(self, send: Callable[[bool], None]) -> None:
        """Send what was computed, or word that the step has failed."""
        if not self.failed:
            try:
                send(False)
            except RankError:
                raise
            except Exception as error:
                self._fail(error)
            else:
                return
        send(True)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            add_path(error, self.stage.net)
        self.error, self.failed = error, True

    def _require_dense(self) -> None:
        for name, parameter in self.stage.part.named_param():
            if parameter.grad is not None and parameter.grad.layout is not torch.strided:
                raise ArgumentError(
                    f"parallel: gradients must be dense, got one of {parameter.grad.layout} for {name} of a stage; "
                    "build the layer with sparse=False"
                )
