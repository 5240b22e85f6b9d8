"""What the training steps share that do something around a plain one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any


class AroundStep:
    """A training step that takes another one, and tells of which function and with which options.

    plain: `step`, `step_accumulated` or `step_in_backward`, with their options, or another such step around them.
    """

    plain: Callable[..., Any]

    @property
    def func(self) -> Callable[..., Any]:
        """The plain step without its options."""
        return self.plain.func if isinstance(self.plain, (partial, AroundStep)) else self.plain

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The options of the plain step."""
        return self.plain.keywords if isinstance(self.plain, (partial, AroundStep)) else {}
