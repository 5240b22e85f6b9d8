"""A compiled step to come: found in the cache, or compiled in a process beside the one that trains."""

from __future__ import annotations

from typing import Any

from mytorch.core.batch import Batch
from mytorch.train.choose_step import is_in_backward, is_plain
from mytorch.train.compiled.cache import admit, find
from mytorch.train.compiled.compiler_process import CompilerProcess
from mytorch.train.compiled.engine import Compiled, kind_of
from mytorch.train.compiled.program import Program
from mytorch.train.compiled.trace import TraceError
from mytorch.train.exclusions import name_of
from mytorch.train.setup import Setup


class InBackground:
    """One step of a setup, traced by the constructor and looked for in the cache.

    engine: is given the compiled step.
    Raises what tracing raises.
    """

    def __init__(self, engine: Compiled, setup: Setup, batch: Batch, promptly: bool) -> None:
        _require_plain(setup)
        self.engine, self.kind, self.promptly = engine, kind_of(batch), promptly
        self.plan = engine.plan(setup, batch, promptly)
        self.how = "found in the cache"
        self._loader: Any = find(self.plan.key, engine.say)
        self._process: CompilerProcess | None = None

    def compile(self) -> None:
        """Begin to compile. Raises OSError where no process can be started."""
        self._process = CompilerProcess(self.plan)

    def ready(self) -> bool:
        """Whether the step is there, or a reason why there is none."""
        return self._loader is not None or (self._process is not None and self._process.ended())

    def obstacle(self) -> str | None:
        """Why the process that ended compiled nothing; None if it did."""
        return None if self._process is None else self._process.obstacle()

    def adopt(self, setup: Setup, promptly: bool) -> bool:
        """Give the engine the step that is ready; False if the model has become another since it was traced."""
        if self._process is not None:
            self.how = f"compiled in {self._process.seconds:.0f} s"
            self._loader = admit(self._process.package, self.plan.key, self.engine.say)
        if promptly != self.promptly:
            return False
        self.engine.adopt(setup, self.kind, Program(self.plan.recipe, self.plan.steps, self._loader))
        return self.engine.has_programs

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None


def _require_plain(setup: Setup) -> None:
    if is_in_backward(setup.step):
        raise TraceError("optimizer_in_backward updates parameters before all gradients are known")
    if not is_plain(setup.step):
        raise TraceError(f"it is one of your own, {name_of(setup.step)}")
