"""All that a training step changes, so that it can be put back."""

from __future__ import annotations

from operator import is_
from typing import Any

import torch
from torch import Tensor

from mytorch.core import persistent, random_state
from mytorch.train.equal import equal
from mytorch.train.privacy.private_step import account_of
from mytorch.train.rules.rule_step import copied, rules_of
from mytorch.train.setup import Setup

PLAIN = frozenset({bool, int, float, str, type(None)})
"""Types of most settings, passed by at a glance: a snapshot is taken at every epoch."""


class Snapshot:
    """Weights, buffers, optimizer, schedule, the scale of the loss, the privacy that was spent, the state of a
    learning rule, and the random state, that of layers and of private noise too, at the last `take`.

    One is taken at every epoch, into the same memory.

    random: the random state then.
    """

    def __init__(self, setup: Setup) -> None:
        self.tensors, self.optimizer, self.schedule = setup.tensors, setup.optimizer, setup.schedule
        self.held, self._here = self.tensors, setup.here
        self._values: list[Tensor] = []
        self._seen: list[Tensor] = []  # the values and the optimizer's tensors
        self._copies: list[Tensor] = []
        self._state: dict[str, Any] = {}
        self._schedule: dict[str, Any] | None = None
        self._in_pieces = setup.in_pieces
        self._precision, self._scale = setup.precision, dict[str, Any]()
        self._accounts, self._spent = account_of(setup.step), list[dict[str, Any]]()
        self._rules, self._ruled = rules_of(setup.step), list[dict[str, Any]]()
        self.random = random_state(setup.net, setup.loss)

    def take(self) -> None:
        """Copy everything."""
        self.held = self._here(self.tensors)
        values, state = [held.value for held in self.held], self.optimizer.state_dict()
        seen = self._seen
        if not (_same(values, self._values) and equal(state, self._state)):
            seen = [*values]
            self._values, self._state = values, _collect(state, seen)
        if seen and _same(seen, self._seen):
            torch._foreach_copy_(self._copies, seen)
        else:
            self._seen, self._copies = [], []  # so that old and new copies are never in memory together
            self._seen, self._copies = seen, [persistent(value) for value in seen]
        self._schedule = self.schedule.state_dict() if self.schedule is not None else None
        self._scale = {} if self._precision is None else self._precision.state_dict()
        self._spent = [account.state_dict() for account in self._accounts]
        self._ruled = [copied(rule.state_dict()) for rule in self._rules]
        self.random = self.random.again()

    def restore(self) -> None:
        """Put everything back; gradients are forgotten."""
        values, state = self._copies[: len(self.held)], self._copies[len(self.held) :]
        for held, value in zip(self.held, values, strict=True):
            held.value.copy_(value)
        for collected, value in zip(self._seen[len(self.held) :], state, strict=True):
            collected.copy_(value)
        self.optimizer.zero_grad()
        with self._in_pieces():
            self.optimizer.load_state_dict(self._state)
        if self.schedule is not None and self._schedule is not None:
            self.schedule.load_state_dict(self._schedule)
        if self._precision is not None:
            self._precision.load_state_dict(self._scale)
        for account, spent in zip(self._accounts, self._spent, strict=True):
            account.load_state_dict(spent)
        for rule, state_then in zip(self._rules, self._ruled, strict=True):
            rule.load_state_dict(copied(state_then))
        self.random.restore()


def _same(tensors: list[Tensor], others: list[Tensor]) -> bool:
    return len(tensors) == len(others) and all(map(is_, tensors, others))


def _collect(state: Any, tensors: list[Tensor]) -> Any:
    """A copy of nested dicts and lists that holds the same tensors; they are added to `tensors`."""
    if isinstance(state, dict):
        return {name: value if type(value) in PLAIN else _collect(value, tensors) for name, value in state.items()}
    if isinstance(state, list):
        return [_collect(value, tensors) for value in state]
    if isinstance(state, Tensor):
        tensors.append(state)
    return state
