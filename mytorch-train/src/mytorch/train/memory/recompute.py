"""Runs of layers that keep their input alone, and are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mytorch.core import Buffer, Module, RandomState, random_state, require_pair
from mytorch.train.memory.buffers import other_buffers
from mytorch.train.observe import Method

_PASSED_ON = object()  # in place of an input that the layer before gives


@dataclass(eq=False)
class _Pass:
    """One forward through a run, by what it can be computed again.

    calls: of each layer, its own forward, inputs and options. last: the last one's output, until the run ends.
    saved: what the layers save, once they are computed again.
    """

    buffers: Sequence[Buffer]
    random: RandomState
    values: list[Tensor]
    calls: list[tuple[Method, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    last: Any = None
    saved: list[Any] | None = None


@dataclass(frozen=True, eq=False)
class _Again:
    """What stands for the saved value of one layer of a run."""

    whole: _Pass
    number: int


class Recompute:
    """Its `around` is given to `intercept`, with `watched`, around steps of a net.

    As `Checkpoint` of mytorch.nn does it for modules that it holds, here for layers that know nothing of it: buffers
    and random state are those of the forward while it is computed again, and then put back, so that the results are
    the same to the bit.

    runs: the modules of each run, which a forward calls one after the other, each once, with the output of the one
    before.
    """

    def __init__(self, net: Module, runs: Sequence[Sequence[tuple[str, Module]]]) -> None:
        self.runs = runs
        self._random = random_state(net)
        self._buffers = [list(dict.fromkeys(_buffers(run))) for run in runs]
        self._places = {
            id(module): (number, at) for number, run in enumerate(runs) for at, (_, module) in enumerate(run)
        }
        self._open: dict[int, _Pass] = {}
        self._inside = False

    @property
    def watched(self) -> Iterator[tuple[str, Module]]:
        """All layers of the runs, with their paths."""
        return (named for run in self.runs for named in run)

    def around(self, _path: str, module: Module, name: str, method: Method) -> Method:
        """What stands for the forward and the backward of a layer."""

        def forward(*inputs: Any, **options: Any) -> Any:
            if self._inside:  # it calls its own forward
                return method(*inputs, **options)
            return self._forward(module, method, inputs, options)

        def backward(d_output: Any, saved: Any) -> Any:
            if not isinstance(saved, _Again):
                return method(d_output, saved)
            return method(d_output, self._taken(saved))

        return forward if name == "forward" else backward

    def _forward(self, module: Module, method: Method, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        number, at = self._places[id(module)]
        whole = self._open.get(number)
        if whole is None or at == 0:
            buffers = self._buffers[number]
            values = [buffer.value.clone() for buffer in buffers]
            whole = self._open[number] = _Pass(buffers, self._random.again(), values)
        passed_on = bool(inputs and whole.calls) and inputs[0] is whole.last
        whole.calls.append((method, (_PASSED_ON, *inputs[1:]) if passed_on else inputs, options))
        whole.last = None
        y = self._output(module, method, inputs, options)
        if at == len(self.runs[number]) - 1:
            del self._open[number]
        else:
            whole.last = y
        return y, _Again(whole, len(whole.calls) - 1)

    def _output(self, module: Module, method: Method, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The output alone; a container drops what its layers save one by one."""
        self._inside = True
        try:
            if type(module).__call__ is not Module.__call__:
                return module(*inputs, **options)
            pair = method(*inputs, **options)
            require_pair(module, pair)
            return pair[0]
        finally:
            self._inside = False

    def _taken(self, again: _Again) -> Any:
        """What a layer saves, which is kept no longer."""
        if again.whole.saved is None:
            again.whole.saved = self._computed(again.whole)
        saved, again.whole.saved[again.number] = again.whole.saved[again.number], None
        return saved

    def _computed(self, whole: _Pass) -> list[Any]:
        saved, y = [], None
        with self._random.again(), other_buffers(whole.buffers, whole.values):
            whole.random.restore()
            for method, inputs, options in whole.calls:
                y, kept = method(*((y, *inputs[1:]) if inputs and inputs[0] is _PASSED_ON else inputs), **options)
                saved.append(kept)
        whole.calls.clear()
        return saved


def _buffers(run: Sequence[tuple[str, Module]]) -> Iterator[Buffer]:
    return (buffer for _, module in run for _, buffer in module.named_buffer())
