"""The engine that a training uses for its steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from mytorch.core import Schedule, random_state
from mytorch.core.batch import Batch
from mytorch.train.compiled.carry import Carry
from mytorch.train.compiled.program import Plan, Program, difference, make_program, plan_program
from mytorch.train.compiled.reason import reason_of
from mytorch.train.compiled.settled import Glance, settled, settled_settings
from mytorch.train.compiled.trace import Recipe, TraceError, changing_settings, setting_values, stacked
from mytorch.train.compiled.warning import EngineWarning
from mytorch.train.engine import Taken
from mytorch.train.mean_loss import Weight
from mytorch.train.setup import Setup

SHAPES = 4
"""At most so many shapes of batches are compiled; batches of others are trained on eagerly."""
COMPILED = 8
"""At most so many steps are compiled in one run, or a callback that changes a setting at every batch would stop it."""
TIMED = 8
"""Calls of a program that are timed where it is used only if it is faster than eager steps."""
STREAK = 3
"""A shape other than the first is compiled after so many batches in a row, so not for the smaller last one."""


class Compiled:
    """Takes several steps in one call of machine code, where nothing needs to happen between them.

    The first step of a run, steps that do not fill a call, and batches of rare shapes are taken eagerly. A compiled
    step is used after its first results were found equal to eager ones. Where it cannot be had, training goes on
    eagerly and a warning says why.
    """

    def __init__(self, say: Callable[[str], object] = lambda _line: None) -> None:
        self.say = say
        self.warn: Callable[[str], object] = warn
        self.takes_on: Callable[[float], bool] | None = None
        """Whether a program is used that was found right, by the seconds that a step of it takes."""
        self.adds = True
        """Whether programs are made for steps beyond those that were adopted or resumed, for which training waits."""
        self.programs: dict[Any, Program] = {}
        self.refused = False
        self._settled: tuple[Any, ...] = ()
        self._glance: tuple[Glance, frozenset[str] | None] | None = None  # with what the schedule sets
        self._first: str | None = None  # the kind of the first batch, in words
        self._setup: Setup | None = None
        self._made = 0
        self._streak = 0  # of batches of one kind
        self._prompt = False
        self._at_rest = True  # nothing was trained or drawn beyond the last loss
        self._kind: Any = None  # of the last batch
        self._resumed: dict[
            str, bool
        ] = {}  # kinds, in words, that a run had compiled before; whether each was checked
        self._resumed_kind: str | None = None

    def bring_up_to_date(self) -> bool:
        """Whether nothing was trained or drawn beyond the last loss."""
        return self._at_rest

    def state_dict(self) -> dict[str, Any]:
        """Which kinds of batches have a compiled step, since others are taken eagerly and round differently."""
        if self._setup is not None and self._kind is None:  # between epochs
            self._forget_if_changed(self._setup)
        kinds = self._resumed | {repr(kind): program.checked for kind, program in self.programs.items()}
        return {
            "kinds": kinds,
            "first": self._first,
            "last": None if self._kind is None else repr(self._kind),
            "streak": self._streak,
            "made": self._made,
            "refused": self.refused,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Compile the same steps when batches of their kinds come, before the first of them is taken."""
        self._resumed, self._resumed_kind = dict(state["kinds"]), state["last"]
        self._first, self._streak = state["first"], state["streak"]
        self._made, self.refused = state["made"], state["refused"]

    @property
    def has_programs(self) -> bool:
        """Whether some steps are compiled, or were in the run that is resumed."""
        return bool(self.programs or self._resumed) and not self.refused

    def steps(self, setup: Setup, promptly: bool = False, done: int = 0, planned: int = 0) -> Taken:  # noqa: ARG002
        """Take the steps of an epoch, a group of batches at a time."""
        yield from self.take(setup, setup.batches, promptly)

    def take(self, setup: Setup, batches: Iterable[Batch], promptly: bool) -> Taken:
        """Take the steps of what is left of an epoch; if no programs are made here, only as long as there are some."""
        self._glance = self._glance if setup is self._setup else None
        self._prompt, self._setup = promptly, setup
        self._forget_if_changed(setup)
        if self._is_done():
            return
        group: list[Batch] = []
        kind, resumed, self._resumed_kind = None, self._resumed_kind, None
        try:
            for batch in batches:
                if (now := kind_of(batch)) != kind and group:
                    yield from self._ahead_of(self._eagerly(setup, group))
                    group = []
                follows = now == kind or (kind is None and resumed is not None and repr(now) == resumed)
                self._kind, self._streak = now, self._streak + 1 if follows else 1
                kind = now
                group.append(batch)
                if self._resumed and repr(kind) in self._resumed:
                    self._compile_again(setup, batch, kind)
                program = self.programs.get(kind)
                if program is None or self.refused:
                    taken = list(self._eagerly(setup, group))
                    self._consider(setup, batch, kind)
                    yield from self._all_but_last_ahead(taken)
                elif len(group) == program.steps:
                    yield from self._take(setup, program, group)
                else:
                    continue
                group = []
                if self._is_done():
                    return
            yield from self._drawn(setup, group)
        finally:
            self._kind = None

    def _is_done(self) -> bool:
        """Whether whoever gave the programs takes the steps that are left, since none of them is of use any more."""
        return not (self.adds or self.has_programs)

    def notes(self) -> dict[str, Any]:
        """Nothing: what is not compiled is told in a warning."""
        return {}

    def close(self) -> None:
        """Nothing to do: the machine code goes with this object."""

    # Ways to take steps

    def _eagerly(self, setup: Setup, group: Sequence[Batch]) -> Taken:
        for inputs, targets in group:
            result = setup.take_step(inputs, targets)
            setup.advance("batch")
            yield result

    def _drawn(self, setup: Setup, group: Sequence[Batch]) -> Taken:
        """Take steps eagerly whose batches were all drawn before the first of them."""
        steps = self._eagerly(setup, group)
        yield from self._ahead_of(islice(steps, max(0, len(group) - 1)))
        yield from steps

    def _take(self, setup: Setup, program: Program, group: list[Batch]) -> Taken:
        if self._prompt and settled_settings(setup.optimizer, program.recipe.settings) != self._settled[-1]:
            self._forget_if_changed(setup)
            yield from self._drawn(setup, group)
        elif (carried := program.recipe.carry.tensors()) is None:  # a callback has replaced some
            self.programs.clear()
            yield from self._drawn(setup, group)
        elif not program.checked:
            yield from self._check(setup, program, group)
        else:
            losses, weights = program.run(carried, settings_of(setup, program), leaves_of(group))
            yield from self._all_but_last_ahead(list(zip(losses.unbind(), weights.tolist(), strict=True)))

    def _check(self, setup: Setup, program: Program, group: list[Batch]) -> Taken:
        """Take steps both ways and go on with the eager results, whatever comes out."""
        carry, schedule = program.recipe.carry, setup.schedule
        before, tried, random = carry.copies(), carry.copies(), random_state(setup.net, setup.loss)
        at = schedule.state_dict() if schedule is not None and schedule.interval == "batch" else None
        settings, leaves = settings_of(setup, program), leaves_of(group)
        try:
            found = program.run(tried, settings, leaves)
        except Exception as error:
            self._refuse(reason_of(error))
        random.restore()
        _set(schedule, at)
        taken = list(self._eagerly(setup, group))
        if self.refused:
            yield from self._all_but_last_ahead(taken)
            return
        expected = [torch.stack([value for value, _ in taken]), stacked([weight for _, weight in taken])]
        computed_in = None if setup.precision is None else setup.precision.dtype
        wrong = difference(
            [*carry.by_dtype(before), *map(torch.zeros_like, expected)],
            [*carry.by_dtype(tried), *found],
            [*carry.by_dtype(carry.now()), *expected],
            computed_in,
        )
        program.checked = wrong is None
        if wrong is not None:
            self._refuse(f"its first results are not those of eager steps: {wrong}")
        elif self.takes_on is not None:
            with random_state(setup.net, setup.loss):
                self.refused = not self.takes_on(seconds_of(setup, program, tried, group, at))
        yield from self._all_but_last_ahead(taken)

    def _ahead_of(self, losses: Iterator[tuple[Tensor, Weight]]) -> Taken:
        """Losses while batches were drawn that come after theirs."""
        self._at_rest = False
        try:
            yield from losses
        finally:
            self._at_rest = True

    def _all_but_last_ahead(self, losses: list[tuple[Tensor, Weight]]) -> Taken:
        """Losses of steps that were all taken already."""
        yield from self._ahead_of(iter(losses[:-1]))
        yield from losses[-1:]

    # What is compiled

    def _consider(self, setup: Setup, batch: Batch, kind: Any) -> None:
        """Make a program for batches of this kind if it is worth it."""
        if self.refused or not self.adds:
            return
        self._first = self._first or repr(kind)
        worth = repr(kind) == self._first or self._streak >= STREAK
        if not worth or len(self.programs) + len(self._resumed) >= SHAPES:
            return
        if setup.precision is not None and not setup.precision.has_updated:
            return  # the optimizer may have no state yet
        if self._made == COMPILED:
            self._refuse(
                f"what is compiled in has changed {COMPILED} times, such as a setting that no schedule changes"
            )
            return
        self._made += 1
        try:
            carry = Carry(setup.net, setup.loss, setup.optimizer, setup.precision)
            self.programs[kind] = self._make(setup, batch, carry)
        except Exception as error:
            self._refuse(reason_of(error))

    def _compile_again(self, setup: Setup, batch: Batch, kind: Any) -> None:
        """Make the program that a resumed run had for batches of this kind."""
        checked = self._resumed.pop(repr(kind))
        try:
            carry = Carry(setup.net, setup.loss, setup.optimizer, setup.precision)
            self.programs[kind] = self._make(setup, batch, carry)
            self.programs[kind].checked = checked
        except Exception as error:
            self._refuse(reason_of(error))

    def plan(self, setup: Setup, batch: Batch, promptly: bool) -> Plan:
        """What a program for batches of this kind would be compiled from. Raises what tracing raises."""
        self._prompt = promptly
        carry = Carry(setup.net, setup.loss, setup.optimizer, setup.precision)
        return plan_program(*self._traced(setup, batch, carry))

    def adopt(self, setup: Setup, kind: Any, program: Program) -> None:
        """Take steps by a program that was made of the plan, unless the model has become another since."""
        self.programs[kind] = program
        self._forget_if_changed(setup)

    def _make(self, setup: Setup, batch: Batch, carry: Carry) -> Program:
        return make_program(*self._traced(setup, batch, carry), self.say)

    def _traced(self, setup: Setup, batch: Batch, carry: Carry) -> tuple[Recipe, Callable[[int], int], list[Tensor]]:
        """What is traced, the steps a call, and the tensors of a batch."""
        net, loss, optimizer = setup.net, setup.loss, setup.optimizer
        leaves, structure = pytree.tree_flatten(batch)
        require_cpu_tensors([*leaves, *(slot.tensor(optimizer) for slot in carry.slots)])
        self._forget_if_changed(setup)  # what is settled now is so for every step that is kept
        changing = changing_settings(optimizer, setup.schedule)
        recipe = Recipe(net, loss, optimizer, carry, changing, structure, setup.step)
        self._settled, self._glance = self._now(setup, changing), None
        return recipe, lambda most: self._steps_a_call(setup, most), leaves

    def _steps_a_call(self, setup: Setup, most: int) -> int:
        if self._prompt:
            self.say("a callback listens to every batch: one training step a call")
            return 1
        return steps_a_call(setup.batches.whole, most)

    def _forget_if_changed(self, setup: Setup) -> None:
        """Let go of compiled steps of a model that has become another since, such as one with frozen layers."""
        if not self.programs or self._is_settled(setup):
            return
        self.programs.clear()
        self._resumed.clear()

    def _is_settled(self, setup: Setup) -> bool:
        """Whether everything that was settled when a step was compiled is as it was then."""
        driven = None if setup.schedule is None else setup.schedule.driven
        glance, driven_before = self._glance or (None, None)
        if glance is None or not glance.unchanged():
            carry = next(iter(self.programs.values())).recipe.carry
            self._glance = Glance(setup.net, setup.loss, setup.optimizer, carry), driven
            return self._now(setup, changing_settings(setup.optimizer, setup.schedule)) == self._settled
        if glance.same_settings() and driven == driven_before:
            return bool(setup.step == self._settled[-2])
        changing = changing_settings(setup.optimizer, setup.schedule)
        return (setup.step, settled_settings(setup.optimizer, changing)) == self._settled[-2:]

    def _now(self, setup: Setup, changing: Collection[tuple[int, str]]) -> tuple[Any, ...]:
        optimizer = setup.optimizer
        of_model = settled(setup.net, setup.loss, optimizer)
        return *of_model, setup.step, settled_settings(optimizer, changing)

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.programs.clear()
        self.warn(reason)


def warn(reason: str) -> None:
    """Say why training goes on eagerly."""
    text = f"compiled engine: {reason}; training continues with the eager engine"
    warnings.warn(text, EngineWarning, stacklevel=3)


def kind_of(batch: Batch) -> Any:
    """What batches of one compiled step have in common."""
    inputs, targets = batch
    if isinstance(inputs, Tensor) and isinstance(targets, Tensor):  # a microsecond, where others take ten
        return inputs.shape, inputs.dtype, targets.shape, targets.dtype
    leaves, structure = pytree.tree_flatten(batch)
    return structure, tuple((x.shape, x.dtype) if isinstance(x, Tensor) else type(x) for x in leaves)


def leaves_of(group: Sequence[Batch]) -> list[Tensor]:
    """Each tensor of the batches, with a leading axis of steps."""
    plain = all(isinstance(part, Tensor) for part in group[0])  # as most are: a microsecond each less
    batches = group if plain else [pytree.tree_leaves(batch) for batch in group]
    return [torch.stack(leaves).contiguous() for leaves in zip(*batches, strict=True)]


def settings_of(setup: Setup, program: Program) -> Tensor:
    """The settings of each step of a call, as the schedule moves on."""
    optimizer, settings, schedule = setup.optimizer, program.recipe.settings, setup.schedule
    if schedule is None or schedule.interval != "batch":
        rows = [setting_values(optimizer, settings)] * program.steps
    else:
        rows = []
        for _ in range(program.steps):
            rows.append(setting_values(optimizer, settings))
            setup.advance("batch")
    return torch.tensor(rows, dtype=torch.float64)


def seconds_of(
    setup: Setup, program: Program, tried: Sequence[Tensor], group: Sequence[Batch], at: Mapping[str, Any] | None
) -> float:
    """The seconds of a step, with what is done for it beside the call: the lower quartile of several.

    tried: copies, which they change.
    at: where the schedule stood before the steps; it is put back to where it is now.
    """
    schedule, seconds = setup.schedule, []
    now = None if schedule is None or at is None else schedule.state_dict()
    for _ in range(TIMED):
        _set(schedule, at)
        started = perf_counter()
        program.recipe.carry.tensors()
        program.run(tried, settings_of(setup, program), leaves_of(group))
        seconds.append(perf_counter() - started)
    _set(schedule, now)
    return sorted(seconds)[TIMED // 4] / program.steps


def _set(schedule: Schedule | None, state: Mapping[str, Any] | None) -> None:
    """Put a schedule to where it stood, if it moves with the steps."""
    if schedule is not None and state is not None:
        schedule.load_state_dict(state)


def steps_a_call(batches: int, most: int) -> int:
    """Of the counts between the half of `most` and `most`, the one that leaves the fewest batches over."""
    most = max(1, min(most, batches))
    return min(range(most, max(1, most // 2) - 1, -1), key=lambda count: batches % count)


def require_cpu_tensors(values: Sequence[Any]) -> None:
    """Raise TraceError unless all are tensors of the processor."""
    for value in values:
        if not isinstance(value, Tensor):
            raise TraceError(f"a batch must consist of tensors, got {type(value).__name__}")
        if value.device.type != "cpu":
            raise TraceError(f"every tensor must be on the cpu, got one on {value.device}")
