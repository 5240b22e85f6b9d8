"""Which engine takes which training step."""

from __future__ import annotations

from mytorch.core import ArgumentError
from mytorch.train.auto import Auto
from mytorch.train.choose_step import is_in_backward, is_plain, name_of
from mytorch.train.engine import Eager, Engine
from mytorch.train.memory.memory_step import MemoryStep
from mytorch.train.memory.saved_step import SavedStep
from mytorch.train.privacy.private_step import PrivateStep
from mytorch.train.quantities.clipped_step import ClippedStep
from mytorch.train.quantities.watched_step import quantities_of
from mytorch.train.rules.rule_step import RuleStep
from mytorch.train.setup import Setup


def require_taken(engine: Engine, setup: Setup) -> None:
    """Raise ArgumentError if an engine traces the step and it is another than the plain one."""
    if isinstance(setup.step, (ClippedStep, PrivateStep)) and not isinstance(engine, Eager):
        option = next(iter(setup.step.keywords))
        raise ArgumentError(
            f"{option}: must be left out with an engine that compiles steps, since layers are asked for the gradients "
            f'of single samples, got {type(engine).__name__}; use engine="eager"'
        )
    if isinstance(setup.step, (MemoryStep, SavedStep)) and not isinstance(engine, Eager):
        option = "memory" if isinstance(setup.step, MemoryStep) else "saved"
        raise ArgumentError(
            f"{option}: must be left out with an engine that compiles steps, which chooses itself what a step keeps, "
            f'got {type(engine).__name__}; use engine="eager"'
        )
    if quantities_of(setup.step) and not isinstance(engine, Eager):
        who = type(setup.optimizer).__name__ if setup.optimizer.quantities() else "quantities"
        raise ArgumentError(
            f"{who}: must be left out with an engine that compiles steps, since each layer is shown while its "
            f'backward runs, got {type(engine).__name__}; use engine="eager"'
        )
    if isinstance(engine, (Auto, Eager)) or is_plain(setup.step):
        return
    if isinstance(setup.step, RuleStep):
        raise ArgumentError(
            "rule: must be left out with the compiled engine, which compiles backpropagation, got "
            f'{type(setup.step.rule).__name__}; use engine="eager"'
        )
    if is_in_backward(setup.step):
        raise ArgumentError(
            "optimizer_in_backward: must be left out with the compiled engine, whose step is one function of all "
            'gradients, got engine = "compiled"; leave one of the two out'
        )
    raise ArgumentError(
        f"step: must be left out with the compiled engine, which compiles its own, got {name_of(setup.step)}; "
        'use engine="eager"'
    )
