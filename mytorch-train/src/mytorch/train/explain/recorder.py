"""Writing down what every call of a layer did."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Detail, Module, Parameter, random_state, tree
from mytorch.train.drawing import view
from mytorch.train.explain.formula import formula_of, summary_of
from mytorch.train.explain.gallery import Gallery
from mytorch.train.explain.numbers_of import Numbers, dtype_of, named, tensors_in
from mytorch.train.explain.shown import Shown, shown_of
from mytorch.train.explain.steps import Kept, Phase, Step, View

LOSS = "loss"
UNTOLD = Module.forward_details, Module.backward_details
Inputs = list[tuple[str, Any]]
Before = Sequence[tuple[str, Parameter, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Forward:
    """A forward whose backward has not come yet."""

    saved: Any
    path: str
    use: int
    names: list[str]


class Clock:
    """Seconds, without those in which it is stopped."""

    def __init__(self) -> None:
        self._lost, self._waits = 0.0, torch.accelerator.is_available()

    def now(self) -> float:
        """The time by this clock."""
        if self._waits:
            torch.accelerator.synchronize()  # a kernel that is still running belongs to whoever called it
        return time.perf_counter() - self._lost

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do something that does not count."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._lost += time.perf_counter() - began


@dataclass
class Call:
    """A call that has not returned."""

    module: Module
    phase: Phase
    path: str
    use: int
    before: Before
    """The module's own parameters, and in a backward the gradients that they had."""
    names: list[str]
    """The positional inputs, of a backward those of the forward that it answers; others have no gradient."""
    inner: list[Any] = field(default_factory=list)
    """What the calls inside returned, without saved values."""
    children: Counter[int] = field(default_factory=Counter)
    place: int = 0
    """Where its step stands among all."""
    saved: dict[int, set[int]] = field(default_factory=dict)
    """The storages that each forward inside has saved, by its place among the steps."""


class Recorder:
    """Makes the steps. Its `around` is given to `intercept`."""

    def __init__(self, net: Module, loss: Module, draws: bool = False, tokens: Sequence[str] = ()) -> None:
        self.clock = Clock()
        self._net, self._loss = net, loss
        self._gallery, self._tokens = Gallery() if draws else None, tokens
        self._steps: list[Step | None] = []  # in the order in which calls began
        self._owners: list[int] = []
        self._open: list[Call] = []
        self._uses: Counter[int] = Counter()
        self._waiting: dict[int, list[Forward]] = {}
        state = [held.value for module in (net, loss) for _, held in module.named_state()]
        self._of_net = {_storage(value) for value in state}
        self._storages = set(self._of_net)

    def steps(self) -> tuple[Step, ...]:
        """All that was recorded."""
        done = zip(self._steps, self._owners, strict=True)
        return tuple(replace(step, uses=max(1, self._uses[owner])) for step, owner in done if step is not None)

    def add(self, step: Step) -> None:
        """Write down what no layer did, such as an update."""
        self._steps.append(step)
        self._owners.append(0)  # of no module

    def around(self, _path: str, module: Module, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """A forward or backward, recorded."""
        signature = inspect.signature(method)
        begin, end = (self._forward, self._end_forward) if name == "forward" else (self._backward, self._end_backward)

        @wraps(method)  # so that its signature is still known
        def recorded(*args: Any, **kwargs: Any) -> Any:
            details: tuple[Shown, ...] = ()
            with self.clock.stopped():
                given = list(signature.bind(*args, **kwargs).arguments.items())
                if name == "backward":
                    details = self._details(module.backward_details, *(value for _, value in given[:2]))
                call = begin(module, given, list(signature.bind_partial(*args).arguments))
                call.place = place = len(self._steps)
                self._steps.append(None)
                self._owners.append(id(module))
                self._open.append(call)
            began = self.clock.now()
            result = method(*args, **kwargs)
            seconds = self.clock.now() - began
            with self.clock.stopped():
                self._open.pop()
                step = replace(end(call, given, result), seconds=seconds)
                if name == "forward":
                    details = self._details(module.forward_details, dict(given), *result)
                self._steps[place] = replace(step, details=details)
            return result

        return recorded

    def _forward(self, module: Module, _given: Inputs, positional: list[str]) -> Call:
        self._uses[id(module)] += 1
        within_loss = (self._open[0].module if self._open else module) is self._loss
        phase: Phase = "loss" if within_loss else "forward"
        own = [(name, parameter, None) for name, parameter in tree.own(module, Parameter)]
        return Call(module, phase, self._path(module), self._uses[id(module)], own, positional)

    def _end_forward(self, call: Call, given: Inputs, result: tuple[Any, Any]) -> Step:
        output, saved = result
        self._let_go(call, saved)
        backward = list(inspect.signature(type(call.module).backward).parameters)[1:]
        d_output, saved_name = backward if len(backward) == 2 else ("d_output", "saved")
        self._waiting.setdefault(id(call.module), []).append(Forward(saved, call.path, call.use, call.names))
        return self._step(
            call,
            inputs=self._numbers(given),
            parameters=self._numbers([(name, parameter.value) for name, parameter, _ in call.before], True),
            outputs=self._numbers([(d_output.removeprefix("d_"), output)]),
            saved=tuple(self._kept(saved_name, saved, contains=bool(call.inner))),
            passes_on=self._passes_on(call, output),
        )

    def _let_go(self, call: Call, saved: Any) -> None:
        """Write down that forwards inside keep nothing whose saved values are not among those of the call around."""
        held = {_storage(value) for _, value in tensors_in("", saved)}
        for place, storages in call.saved.items():
            step = self._steps[place]
            if held and step is not None and held.isdisjoint(storages):
                self._steps[place] = replace(step, saved=())
                self._storages -= storages - self._of_net
        if self._open:
            self._open[-1].saved |= {call.place: held, **call.saved}

    def _backward(self, module: Module, given: Inputs, _positional: list[str]) -> Call:
        forward = self._answered(module, given[-1][1])
        before = [(name, parameter, parameter.grad) for name, parameter in tree.own(module, Parameter)]
        for _, parameter, _ in before:  # so that each call's own gradient can be told, not the sum so far
            parameter.grad = None
        return Call(module, "backward", forward.path, forward.use, before, forward.names)

    def _answered(self, module: Module, saved: Any) -> Forward:
        """The latest forward that saved this very value; None and the like are answered in reverse."""
        waiting = self._waiting.get(id(module), [])
        if not waiting:  # its caller has its own way to compute the output
            return Forward(None, self._path(module), 1, [])
        forward = ([one for one in waiting if one.saved is saved] or waiting)[-1]
        waiting.remove(forward)
        return forward

    def _end_backward(self, call: Call, given: Inputs, result: Any) -> Step:
        several = isinstance(result, tuple) and len(call.names) > 1
        names = call.names if several else [*call.names, "input"][:1]
        d_inputs = list(zip(names, result if several else (result,), strict=False))
        return self._step(
            call,
            inputs=self._numbers(given[:1]),
            gradients=self._put_together(call.before),
            outputs=self._numbers([(f"d_{name}", value) for name, value in d_inputs]),
            view=self._view(call, given[0][1]),
            passes_on=self._passes_on(call, result),
        )

    def _put_together(self, before: Before) -> tuple[Numbers, ...]:
        """The gradients of one call; then they are added to those that were there."""
        numbers = self._numbers([(f"d_{name}", parameter.grad) for name, parameter, _ in before], True)
        for _, parameter, earlier in before:
            if earlier is not None:
                parameter.grad = earlier if parameter.grad is None else earlier.add_(parameter.grad)
        return numbers

    def _numbers(self, values: Inputs, parameters: bool = False) -> tuple[Numbers, ...]:
        found = [(inner, entry) for name, value in values for inner, entry in named(name, value)]
        if self._gallery is None:
            return tuple(Numbers.of(name, entry) for name, entry in found)
        return tuple(self._gallery.numbers(name, entry, parameters) for name, entry in found)

    def _view(self, call: Call, d_output: Any) -> View | None:
        if self._gallery is None:
            return None
        d_first = next((value for _, value in tensors_in("", d_output)), None)
        pictures = view(d_first, any(parameter.value.dim() == 3 for _, parameter, _ in call.before))
        return None if pictures is None else View.of(pictures)

    def _details(self, tell: Callable[..., Iterable[Detail]], *given: Any) -> tuple[Shown, ...]:
        """What a layer tells of a call, which must not change what random numbers come next."""
        if self._gallery is None or getattr(tell, "__func__", None) in UNTOLD:
            return ()
        with random_state(self._net, self._loss):
            return shown_of(_told(tell, *given), self._tokens)

    def _step(self, call: Call, **numbers: Any) -> Step:
        cls = type(call.module)
        formula = formula_of(cls, "backward" if call.phase == "backward" else "forward")
        depth, summary = len(self._open), summary_of(cls)
        return Step(call.phase, call.path, cls.__name__, depth, call.use, summary=summary, formula=formula, **numbers)

    def _path(self, module: Module) -> str:
        """The path of this use: a container calls a child that it holds twice first by its first name.

        A layer that is called from outside its container, as a learning rule does, has its first name in the model.
        """
        if not self._open:
            paths = (path for path, held in self._net.named_modules() if held is module)
            return LOSS if module is self._loss else next(paths, "")
        caller = self._open[-1]
        names = [name for name, child in caller.module.named_children() if child is module]
        names = names or [path for path, child in tree.walk(caller.module) if child is module and path]
        count = caller.children[id(module)]
        caller.children[id(module)] += 1
        name = names[count % len(names)] if names else type(module).__name__
        return f"{caller.path}.{name}" if caller.path else name

    def _passes_on(self, call: Call, output: Any) -> bool:
        """Whether all that a call gives was given by calls inside; the call around is told of it too."""
        given = [value for _, value in tensors_in("", output)]
        if self._open:
            self._open[-1].inner += given
        return bool(given) and all(any(value is one for one in call.inner) for value in given)

    def _kept(self, name: str, saved: Any, contains: bool) -> Iterator[Kept]:
        """What was saved; of a container only what the layers inside did not save already."""
        for inner, value in tensors_in(name, saved):
            storage = _storage(value)
            new = storage not in self._storages
            self._storages.add(storage)
            if new or not contains:
                lasts = new and all(call.phase != "backward" for call in self._open)
                counted = value.untyped_storage().nbytes() if lasts else 0
                yield Kept(inner, tuple(value.shape), dtype_of(value), counted)


def _told(tell: Callable[..., Iterable[Detail]], *given: Any) -> Iterator[Detail]:
    yield from tell(*given)  # here, so that what it raises is raised where details are drawn


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()
