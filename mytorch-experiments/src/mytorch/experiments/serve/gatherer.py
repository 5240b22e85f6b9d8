"""The thread in which a model computes: requests that come at one time go through it together."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, MytorchError, fetch
from mytorch.core.batch import rows_within
from mytorch.experiments.predict.head import Predictions
from mytorch.experiments.predict.prediction import joined, predict_batches, read_outputs
from mytorch.experiments.runs.run import Run
from mytorch.experiments.serve.answer import answer_of
from mytorch.experiments.serve.files import Files
from mytorch.experiments.serve.form import Form, refusal_of
from mytorch.experiments.serve.limits import Limits
from mytorch.experiments.serve.media import JSON, NPZ
from mytorch.experiments.serve.metrics import Metrics
from mytorch.experiments.serve.refusal import Refusal, unexpected
from mytorch.experiments.serve.require_unpacked import require_unpacked
from mytorch.plugins import MytorchWarning, one_line
from mytorch.train.evaluation import EVALUATION_BATCH

MOST = 64
"""Requests that go through the model together, at most."""
SMALL = 2**16
"""Bytes of bodies that are read together, at most; a larger one is read alone, so that others do not wait for it."""
ROUNDING = 1000
"""By so many units in the last place, of the largest output, may outputs differ that were computed beside others."""
log = logging.getLogger("mytorch.serve")


@dataclass
class Question:
    """A request whose body was read, and what became of it.

    media, wanted: the media types of the body and of the answer.  future: of the body of the answer and the warnings.
    files: of its rows, where they are read from files.
    """

    media: str
    wanted: str
    body: bytes
    future: asyncio.Future[tuple[bytes, list[str]]]
    files: Files = field(default_factory=Files)
    rows: DataSet | None = None
    warnings: list[str] = field(default_factory=list)
    result: tuple[bytes, list[str]] | BaseException | None = None


class Gatherer:
    """Answers questions in a thread of its own, so that the server goes on to read others meanwhile.

    A question that comes alone is answered at once. While others are under way, it waits for them, up to
    `limits.gather` seconds, and their rows go through the model together. Each has its own answer or refusal: rows
    that do not fit spoil no others.
    """

    def __init__(self, run: Run, form: Form, limits: Limits, metrics: Metrics) -> None:
        self.run, self.form, self.limits, self.metrics = run, form, limits, metrics
        self.head = run.head
        self.open = 0
        """Requests that have begun and were not answered, of which some may still come in."""
        self.busy_since: float | None = None
        """When it began what it computes now; None while it waits."""
        self._queue: SimpleQueue[Question | None] = SimpleQueue()
        self._together, self._checked, self._last = limits.gather > 0, False, 1
        self._held: Question | None = None
        self._ready = Event()
        self._thread = Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Begin to answer. The form's example goes first, so that no client waits for what is imported only then."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """End, once everything is answered that was asked."""
        self._queue.put(None)
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether it answers: it computes nothing for longer than a request may take."""
        since = self.busy_since
        return self._thread.is_alive() and (since is None or time.monotonic() - since < self.limits.seconds)

    async def ask(self, media: str, wanted: str, body: bytes) -> tuple[bytes, list[str]]:
        """The body of the answer, and warnings. Raises Refusal."""
        future: asyncio.Future[tuple[bytes, list[str]]] = asyncio.get_running_loop().create_future()
        self._queue.put(Question(media, wanted, body, future))
        return await future

    # In the thread

    def _work(self) -> None:
        try:
            self._answer_all()
        finally:
            self._ready.set()  # whatever happened, nobody waits for it

    def _answer_all(self) -> None:
        with self.run.outputs_by("eager") as outputs_of:
            self._warm_up(outputs_of)
            self._ready.set()
            while (first := self._next()) is not None:
                questions, ended = self._gathered(first)
                self.busy_since = time.monotonic()
                self._answer([one for one in questions if not one.future.done()], outputs_of)
                self.busy_since = None
                if ended:
                    return

    def _warm_up(self, outputs_of: Callable[[Any], Any]) -> None:
        content = self.form.content().get(JSON, {})
        if "example" not in content:
            return
        files = Files()
        with suppress(Exception):  # the first request is told
            rows = self.form.rows(JSON, json.dumps(content["example"]).encode(), files)
            predictions = joined(list(predict_batches(rows, None, outputs_of, self.head, str(self.run.path))))
            answer_of(JSON, predictions, None, ())
        files.remove()

    def _next(self) -> Question | None:
        held, self._held = self._held, None
        return held or self._queue.get()

    def _gathered(self, first: Question) -> tuple[list[Question], bool]:
        """The question and those that come with it, and whether it is the end."""
        found, until, size = [first], time.monotonic() + self.limits.gather, len(first.body)
        while len(found) < MOST and size <= SMALL and self._together:
            left = until - time.monotonic() if len(found) < max(self.open, self._last) else 0.0
            try:
                more = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                return found, True
            size += len(more.body)
            if size > SMALL:
                self._held = more  # the next to be answered
                break
            found.append(more)
        self._last = len(found)
        return found, False

    def _answer(self, questions: Sequence[Question], outputs_of: Callable[[Any], Any]) -> None:
        try:
            self._read_all(questions)
            for group in self._groups([one for one in questions if one.rows is not None]):
                self._predict(group, outputs_of)
        except BaseException as error:  # whatever it is, the thread goes on
            for one in questions:
                one.result = one.result or self._refused(error, one)
        for one in questions:
            one.files.remove()
        if questions:
            questions[0].future.get_loop().call_soon_threadsafe(_deliver, questions)

    def _read_all(self, questions: Sequence[Question]) -> None:
        if len(questions) > 1 and self._read_together(questions):
            return
        for one in questions:
            if one.future.done():  # who asked gave up while others were read
                continue
            try:
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always", MytorchWarning)
                    self._require_unpacked(one)
                    one.rows = self.form.rows(one.media, one.body, one.files)
                one.warnings = [one.files.without_paths(str(each.message)) for each in told]
            except BaseException as error:
                one.result = self._refused(error, one)

    def _require_unpacked(self, one: Question) -> None:
        if one.media == NPZ:
            require_unpacked(one.body, self.limits.unpacked * self.limits.body)

    def _read_together(self, questions: Sequence[Question]) -> bool:
        """Whether all were read at once; if anything is to be said of one of them, none was."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                parts = self.form.rows_of_several([(one.media, one.body) for one in questions])
        except (Refusal, MytorchError, Warning):
            return False
        for one, rows in zip(questions, parts, strict=bool(parts)):
            one.rows = rows
        return bool(parts)

    def _groups(self, questions: Sequence[Question]) -> list[list[tuple[Question, Any]]]:
        """Questions with the inputs of their rows, of which those of a group can go through the model as one batch."""
        groups: dict[Any, list[tuple[Question, Any]]] = {}
        for number, one in enumerate(questions):
            assert one.rows is not None  # those that were read
            try:
                most = rows_within(one.rows, EVALUATION_BATCH)
                there = 0 < len(one.rows) <= most
                inputs: Any = fetch(one.rows, torch.arange(len(one.rows)))[0] if there else None
            except BaseException as error:
                one.result = self._refused(error, one)
                continue
            is_joined = isinstance(inputs, Tensor) and self._together
            key = (inputs.shape[1:], inputs.dtype) if is_joined else number
            group = groups.setdefault(key, [])
            if sum(len(rows) for _, rows in group) + len(one.rows) > most and group:
                group = groups.setdefault((key, number), [])
            group.append((one, inputs))
        return list(groups.values())

    def _predict(self, group: Sequence[tuple[Question, Any]], outputs_of: Callable[[Any], Any]) -> None:
        outputs = self._outputs([inputs for _, inputs in group], outputs_of) if len(group) > 1 else None
        for at, (one, inputs) in enumerate(group):
            try:
                own = None if outputs is None else outputs[at]
                predictions = self._alone(one, outputs_of) if own is None else self._read(inputs, own)
                assert one.rows is not None
                names = one.rows.row_names if self.form.named else None
                one.result = answer_of(one.wanted, predictions, names, one.warnings), one.warnings
                self.metrics.rows.inc(len(predictions))
            except BaseException as error:
                one.result = self._refused(error, one)

    def _alone(self, one: Question, outputs_of: Callable[[Any], Any]) -> Predictions:
        """What `mytorch predict` says of the rows."""
        assert one.rows is not None
        if not len(one.rows):
            raise Refusal(422, "request: must have at least one row, got none")
        timed = self._timed(outputs_of)
        return joined(list(predict_batches(one.rows, None, timed, self.head, str(self.run.path))))

    def _read(self, inputs: Any, outputs: Any) -> Predictions:
        return read_outputs(inputs, outputs, self.head, str(self.run.path))

    def _outputs(self, parts: Sequence[Tensor], outputs_of: Callable[[Any], Any]) -> list[Any] | None:
        """The outputs of each of several batches, computed as one; None where they cannot be told apart."""
        try:
            outputs = self._timed(outputs_of)(torch.cat(list(parts)))
            found = _split(outputs, [len(part) for part in parts])
        except Exception:
            return None  # alone it is told which is to blame
        if found is not None and not self._checked:
            self._checked = True
            self._together = all(_are_close(own, outputs_of(part)) for own, part in zip(found, parts, strict=True))
            if not self._together:
                log.warning(
                    "%s: outputs of a row depend on the rows beside it; each request goes through the model alone",
                    self.run.path,
                )
                return None
        return found

    def _timed(self, outputs_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def timed(inputs: Any) -> Any:
            with self.metrics.model_seconds.time():
                outputs = outputs_of(inputs)
            first = outputs[0] if isinstance(outputs, tuple) else outputs
            self.metrics.batch_rows.observe(len(first))
            return outputs

        return timed

    def _refused(self, error: BaseException, one: Question) -> BaseException:
        """The refusal that an error is answered with; others are told in the log alone."""
        if isinstance(error, Refusal):
            return error
        try:
            if isinstance(error, MytorchError):
                return refusal_of(error, one.files, self.run.path)
        except MytorchError:
            pass
        log.error("an error of the server: %s", one_line(error), exc_info=error)
        return unexpected(error)


def _deliver(questions: Sequence[Question]) -> None:
    """Set results, in the thread that waits for them; who gave up is not there any more."""
    for one in questions:
        if one.future.done():
            continue
        if isinstance(one.result, BaseException):
            one.future.set_exception(one.result)
        else:
            assert one.result is not None
            one.future.set_result(one.result)


def _split(outputs: Any, lengths: Sequence[int]) -> list[Any] | None:
    """The outputs of each batch among those of all; None unless each row has its own."""
    if isinstance(outputs, Tensor):
        return list(outputs.split(list(lengths))) if outputs.dim() and len(outputs) == sum(lengths) else None
    if not isinstance(outputs, tuple):
        return None
    parts = [_split(each, lengths) for each in outputs]
    return None if None in parts else list(zip(*parts, strict=True))


def _are_close(found: Any, expected: Any) -> bool:
    """Whether outputs differ by rounding at most."""
    if isinstance(found, tuple):
        return len(found) == len(expected) and all(map(_are_close, found, expected))
    if found.shape != expected.shape:
        return False
    if not found.is_floating_point():
        return bool((found == expected).all())
    allowed = ROUNDING * torch.finfo(found.dtype).eps * expected.abs().max().item()
    return bool(((found - expected).abs().nan_to_num() <= allowed).all())
