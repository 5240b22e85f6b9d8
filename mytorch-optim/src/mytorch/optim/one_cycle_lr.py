"""A learning rate that rises and falls once."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from mytorch.core import ArgumentError, Optimizer, Schedule, require_choice
from mytorch.core.schedule import assign
from mytorch.optim._momentum import momentum_setting, start_momentum
from mytorch.optim.checks import one_a_group, require_count, require_flag, require_setting


class OneCycleLR(Schedule):
    """Raise the learning rate to max_lr, then lower it far below where it began; momentum goes the other way.

    Formula:  with T = total_steps and lr(0) = max_lr / div_factor, piece by piece
              lr: lr(0) -> max_lr,  t = 0 .. pct_start * T - 1;  max_lr -> lr(0) / final_div_factor,  .. T - 1
              momentum: max_momentum -> base_momentum -> max_momentum on the same pieces
              (momentum is the optimizer's momentum, or beta1 of its betas)
              three_phase: lr returns to lr(0) at 2 * pct_start * T - 2, momentum to max_momentum, where it stays
              a -> b is b + (a - b) * (1 + cos(pi * s)) / 2 for "cos", a + (b - a) * s for "linear", s from 0 to 1
    Length:   total_steps, or epochs * steps_per_epoch; one step a batch
    Groups:   max_lr, base_momentum and max_momentum may be lists with one number a group
    Raises:   ArgumentError for an argument outside its range, for a step past T, and, unless cycle_momentum is
              False, for an optimizer that has neither momentum nor betas
    Source:   Smith and Topin 2019, "Super-convergence: very fast training of neural networks using large learning
              rates"

    Example:
        schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=100)
    """

    interval: Literal["batch", "epoch"] = "batch"
    length_argument: ClassVar[str | None] = "total_steps"
    follows_others: ClassVar[bool] = False
    torch_lacks: ClassVar = frozenset({"anneal_strategy", "pct_start", "three_phase"})

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        require_setting(self, "pct_start", pct_start, 0.0, 1.0)
        require_choice(self, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        require_flag(self, "cycle_momentum", cycle_momentum)
        require_flag(self, "three_phase", three_phase)
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            require_setting(self, name, factor)
            if not factor > 0:
                raise ArgumentError(f"OneCycleLR: {name} must be above 0, got {factor}")
        self.total_steps = self._length(total_steps, epochs, steps_per_epoch)
        self.pct_start, self.three_phase = pct_start, three_phase
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        if last_epoch == -1 and isinstance(optimizer, Optimizer):
            self._start_lr(optimizer, max_lr, div_factor, final_div_factor)
            if cycle_momentum:
                start_momentum(self, optimizer, base_momentum, max_momentum)
        super().__init__(optimizer, last_epoch)

    def _length(self, total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
        if total_steps is not None:
            require_count(self, "total_steps", total_steps)
            return total_steps
        if epochs is None or steps_per_epoch is None:
            raise ArgumentError(
                "OneCycleLR: total_steps, or both epochs and steps_per_epoch, must be given, got neither"
            )
        require_count(self, "epochs", epochs)
        require_count(self, "steps_per_epoch", steps_per_epoch)
        return epochs * steps_per_epoch

    def _start_lr(
        self, optimizer: Optimizer, max_lr: float | Sequence[float], div_factor: float, final_div_factor: float
    ) -> None:
        for group, top in zip(optimizer.param_groups, one_a_group(self, "max_lr", max_lr, optimizer), strict=True):
            require_setting(self, "max_lr", top, 0.0)
            start = top / div_factor
            assign(group, {"lr": start})
            group.update(initial_lr=start, max_lr=top, min_lr=start / final_div_factor)

    def require_step(self, number: int) -> None:
        if number > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step must be at most total_steps = {self.total_steps}, got {number}; build it for as "
                "many steps as the run takes, batches times epochs"
            )

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, Any]:
        self.require_step(step)
        piece, s = self._place(step)
        lrs = (initial["lr"], initial["max_lr"], *([initial["lr"]] if self.three_phase else []), initial["min_lr"])
        found: dict[str, Any] = {"lr": self._between(lrs[piece], lrs[piece + 1], s)}
        if self.cycle_momentum:
            base, top = initial["base_momentum"], initial["max_momentum"]
            momenta = (top, base, top, top)
            found |= momentum_setting(initial, self._between(momenta[piece], momenta[piece + 1], s))
        return found

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        yield from super().torch_differences(state)
        strategy = state.get("_anneal_func_type", self.anneal_strategy)
        if strategy != self.anneal_strategy:
            yield f"anneal_strategy must be {self.anneal_strategy!r}, got {strategy!r}"
        ends = [phase["end_step"] for phase in state.get("_schedule_phases", ())]
        if ends and ends != self._ends[1:]:
            yield f"the phases must end at the steps {self._ends[1:]}, got {ends}"

    @property
    def _ends(self) -> list[float]:
        """The steps at which the pieces begin and end."""
        rise = self.pct_start * self.total_steps
        return [0.0, rise - 1, *([2 * rise - 2] if self.three_phase else []), float(self.total_steps - 1)]

    def _place(self, step: int) -> tuple[int, float]:
        """Which piece a step lies on, and how far along it is, from 0 to 1 (past 1 at the step after the last)."""
        ends = self._ends
        last = len(ends) - 2
        piece = next((i for i in range(last) if step <= ends[i + 1]), last)
        length = ends[piece + 1] - ends[piece]
        return piece, (step - ends[piece]) / length if length else 1.0

    def _between(self, start: float, end: float, s: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * s
        return end + (start - end) / 2 * (1 + math.cos(math.pi * s))
