"""The engine that begins eagerly and changes over to compiled steps where the rest of the run is worth it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Any

from mytorch.core.batch import Batch
from mytorch.train.engine import Taken
from mytorch.train.setup import Setup
from mytorch.train.subnormal_numbers import SubnormalNumbersAsZero

if TYPE_CHECKING:  # what traces takes long to import
    from mytorch.train.compiled.engine import Compiled
    from mytorch.train.compiled.in_background import InBackground

WORTH_TRACING = 20.0
"""Seconds of eager steps left for which a step is looked for in the cache. Training pauses to trace it, for one to
three seconds, most of which the import of torch's tracer takes; of a small network, compiled steps save half the time.
"""
WORTH_COMPILING = 60.0
"""Seconds of eager steps left for which one is compiled, which takes 10 to 40 seconds of another core."""
SLOW_OPERATION = 1e-4
"""Seconds an operation takes, on average, where there is too little to save: its call costs a few microseconds."""
LEAST_GAIN = 1.05
"""Compiled steps are used where they are so many times as fast as eager ones."""
FIRST = 3
"""Steps before time is taken, since the first ones take longer."""
LOOK = 0.25
"""Seconds of eager steps between two looks at what is due, so that there is none after most steps."""
LATEST = 1000
"""The time of a step is that of at most so many of the last ones."""
LEAD = 3
"""A step is compiled for batches of a shape that so many more of those looked at have had than have not."""
IN_A_ROW = 12
"""After most steps there is a look until so many batches were looked at; from then on they come apart, by LOOK."""
ATTEMPTS = 3
"""At most so many steps are traced in one run, whose model may become another each time."""


class Auto:
    """Takes steps eagerly and, where enough of the run is left, compiles them in a process beside it meanwhile.

    It changes over between two batches when that process has ended: the first results are compared with eager ones,
    and compiled steps are used if they are equal and faster. Whatever stands in the way, training goes on eagerly, and
    a line says why.
    say: is given a line for what happens.
    """

    def __init__(self, say: Callable[[str], object] = lambda _line: None) -> None:
        self.say = say
        self._notes: dict[str, Any] = {}
        self._attempts = 0
        self._compiled: Compiled | None = None
        self._coming: InBackground | None = None
        self._kinds: Counter[Any] = Counter()  # of the batches that were looked at
        self._done = self._planned = 0
        self._seconds: deque[float] = deque(maxlen=LATEST)  # of each of the last steps
        self._warm = False
        self._next_look: float = 0

    def steps(self, setup: Setup, promptly: bool = False, done: int = 0, planned: int = 0) -> Taken:
        """Take the steps of an epoch."""
        self._done, self._planned = done, planned
        if self._next_look <= done:
            self._next_look = done + FIRST
        batches = iter(setup.batches)
        while True:
            if self._compiled is None or not self._compiled.has_programs:
                self._lose()
                yield from self._eagerly(setup, batches, promptly)
            if self._compiled is None:
                return
            with closing(self._compiled.take(setup, batches, promptly)) as steps:
                for result in steps:
                    self._done += 1
                    yield result
            if self._compiled.has_programs:
                return

    def _eagerly(self, setup: Setup, batches: Iterable[Batch], promptly: bool) -> Taken:
        """Take steps until a compiled step is there."""
        net, loss, optimizer, step = setup.net, setup.loss, setup.optimizer, setup.step
        at_full_speed = SubnormalNumbersAsZero()
        for batch in batches:
            started = perf_counter()
            with at_full_speed:
                result = step(net, loss, optimizer, *batch)
            setup.advance("batch")
            self._seconds.append(perf_counter() - started)
            self._done += 1
            yield result
            if self._done >= self._next_look and self._changes_over(setup, batch, promptly):
                return

    def bring_up_to_date(self) -> bool:
        """As the engine does that takes the steps."""
        return self._compiled is None or self._compiled.bring_up_to_date()

    def notes(self) -> dict[str, Any]:
        """From which step on the run was compiled, or why it is not; nothing as long as there is nothing to tell."""
        return {"auto_engine": dict(self._notes)} if self._notes else {}

    def close(self) -> None:
        """End the process that compiles, if there is one."""
        if self._coming is not None:
            self._coming.close()
            self._coming = None

    def state_dict(self) -> dict[str, Any]:
        """Whether steps are compiled, and which, since others are taken eagerly and round differently."""
        compiled = self._compiled if self._compiled is not None and self._compiled.has_programs else None
        return {
            "compiled": None if compiled is None else compiled.state_dict(),
            "attempts": self._attempts - (self._coming is not None),  # one that is under way ends with the process
            "given_up": "eager_because" in self._notes,
            "notes": dict(self._notes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with compiled steps where the run had come to them, and otherwise begin eagerly again."""
        self._attempts, self._notes = state.get("attempts", 0), dict(state.get("notes", {}))
        self._next_look = math.inf if state.get("given_up") else 0
        if state.get("compiled") is not None:
            self._compiled = self._new_engine()
            self._compiled.load_state_dict(state["compiled"])

    # What is due

    def _changes_over(self, setup: Setup, batch: Batch, promptly: bool) -> bool:
        """Do what is due for a compiled step. Whether there is one now."""
        if not self._warm:
            self._warm = True
            self._seconds.clear()
            return False
        pace = sum(self._seconds) / len(self._seconds)
        self._next_look = self._done + max(1, int(LOOK / (pace + 1e-7)))
        if len(self._seconds) == 1:
            return False
        try:
            if self._coming is None and self._is_worth_it(setup, batch, pace):
                self._begin(setup, batch, promptly, pace)
            return self._coming is not None and self._coming.ready() and self._adopts(setup, self._coming, promptly)
        except Exception as error:
            from mytorch.train.compiled.reason import reason_of

            self._give_up(reason_of(error))
            return False

    def _usual(self) -> float:
        """Seconds of an eager step, of which the machine and smaller batches take no part: the lower quartile."""
        return sorted(self._seconds)[len(self._seconds) // 4]

    def _rest(self, pace: float) -> float:
        """Seconds of eager steps that are left."""
        return pace * (self._planned - self._done)

    def _is_worth_it(self, setup: Setup, batch: Batch, pace: float) -> bool:
        """Whether enough is left to train, and most batches are of the shape of this one."""
        if self._rest(pace) < WORTH_TRACING:
            return False
        from mytorch.train.compiled.cache import is_empty
        from mytorch.train.compiled.engine import kind_of

        if self._rest(pace) < WORTH_COMPILING and is_empty():
            return False
        if setup.precision is not None and not setup.precision.has_updated:
            return False  # the optimizer may have no state yet
        self._kinds[kind := kind_of(batch)] += 1
        looks = self._kinds.total()
        if 2 * self._kinds[kind] - looks >= LEAD:
            return True
        if looks < IN_A_ROW:
            self._next_look = self._done + 1
        return False

    def _begin(self, setup: Setup, batch: Batch, promptly: bool, pace: float) -> None:
        """Trace the step, look for it in the cache, and begin to compile it if that is worth it."""
        from mytorch.train.compiled.in_background import InBackground

        if self._attempts >= ATTEMPTS:
            self._give_up(f"what is compiled in has changed after each of {ATTEMPTS} steps that were traced")
            return
        self._kinds.clear()
        self._attempts += 1
        coming = InBackground(self._new_engine(), setup, batch, promptly)
        each = self._usual() / coming.plan.operations
        if coming.ready():
            self._coming = coming
        elif self._rest(pace) < WORTH_COMPILING:
            self._next_look = math.inf
        elif each > SLOW_OPERATION:
            self._give_up(f"an operation takes {each * 1e6:.0f} us on average, too long for a compiler to save much")
        else:
            coming.compile()
            self._coming = coming
            self.say(f"compiling {coming.plan} in a process beside this one; training goes on")

    def _adopts(self, setup: Setup, coming: InBackground, promptly: bool) -> bool:
        """Take on the step that is ready. Whether it is one of the model as it is now."""
        if (reason := coming.obstacle()) is not None:
            self._give_up(reason)
            return False
        adopted = coming.adopt(setup, promptly)
        self.close()
        if adopted:
            self._compiled = coming.engine
            self._notes["step"] = coming.how
        return adopted

    def _new_engine(self) -> Compiled:
        """The engine that takes compiled steps, and none that it would have to compile itself."""
        from mytorch.train.compiled.engine import Compiled

        engine = Compiled(self.say)
        engine.warn, engine.takes_on, engine.adds = self._give_up, self._takes_on, False
        return engine

    def _takes_on(self, seconds: float) -> bool:
        """Whether compiled steps are used, which are right and take so many seconds each."""
        self._notes.pop("compiled_to", None)
        self._notes["compiled_from"] = self._done + 1
        if not self._seconds:  # a run that was resumed just before this
            return True
        gain = self._usual() / max(seconds, 1e-9)
        if gain < LEAST_GAIN:
            self._give_up(f"a compiled step takes {1 / gain:.1f} times as long as an eager one")
            return False
        self._notes["times_as_fast"] = round(gain, 2)
        self.say(
            f"{self._notes.get('step', 'compiled')}; from step {self._done + 1:,} of {self._planned:,} on, "
            f"{gain:.1f} times as fast as before"
        )
        return True

    def _lose(self) -> None:
        """Let go of a compiled step that is one of the model no more; what is taken on next is another."""
        if self._compiled is not None and "compiled_from" in self._notes and "compiled_to" not in self._notes:
            self._notes["compiled_to"] = self._done
            self.say(
                f"training goes on eagerly from step {self._done + 1:,} on, since what is compiled in has changed"
            )
        self._compiled = None

    def _give_up(self, reason: str) -> None:
        self._next_look = math.inf
        self.close()
        self._notes = {"eager_because": reason}
        self.say(f"training goes on eagerly: {reason}")
