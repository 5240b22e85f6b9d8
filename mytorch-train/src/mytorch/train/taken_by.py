"""Which engine takes which training step."""

from __future__ import annotations

from typing import Any

from mytorch.train.auto import Auto
from mytorch.train.choose_step import is_in_backward, is_plain
from mytorch.train.engine import Eager, Engine
from mytorch.train.exclusions import require_together
from mytorch.train.memory.memory_step import MemoryStep
from mytorch.train.memory.saved_step import SavedStep
from mytorch.train.memory.weights_step import WeightsStep
from mytorch.train.privacy.private_step import PrivateStep
from mytorch.train.quantities.clipped_step import ClippedStep
from mytorch.train.quantities.watched_step import quantities_of
from mytorch.train.rules.rule_step import RuleStep
from mytorch.train.setup import Setup

KINDS: dict[str, type] = {
    "clip_sample_norm": ClippedStep,
    "memory": MemoryStep,
    "privacy": PrivateStep,
    "rule": RuleStep,
    "saved": SavedStep,
    "weights": WeightsStep,
}
"""By the name of an option, the step that it makes, which holds its value under the same name."""


def require_taken(engine: Engine, setup: Setup) -> None:
    """Raise ArgumentError if an engine traces the step and it is another than the plain one."""
    if not isinstance(engine, Eager):
        compiled = {} if isinstance(engine, Auto) else {"compiled": engine}
        require_together({**_asked(setup), "engine": engine, **compiled})


def _asked(setup: Setup) -> dict[str, Any]:
    """The options that made the step of a setup another than the plain one."""
    take_step, optimizer = setup.step, setup.optimizer
    asked: dict[str, Any] = {
        name: getattr(take_step, name) for name, kind in KINDS.items() if isinstance(take_step, kind)
    }
    if quantities := quantities_of(take_step):
        asked.update({"optimizer": optimizer} if optimizer.quantities() else {"quantities": quantities})
    if is_in_backward(take_step) and "weights" not in asked:
        asked["optimizer_in_backward"] = True
    elif not asked and not is_plain(take_step):
        asked["step"] = take_step
    return asked
