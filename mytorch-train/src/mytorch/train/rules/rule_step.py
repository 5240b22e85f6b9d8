"""A training step whose gradients come from a learning rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any
from weakref import WeakValueDictionary

from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer, Rule, add_path
from mytorch.train.half_precision.half_precision import HalfPrecision
from mytorch.train.mean_loss import Weight
from mytorch.train.position import position_of
from mytorch.train.rules.several import gradients_of_one, gradients_of_several
from mytorch.train.step import update

_last: WeakValueDictionary[int, Optimizer] = WeakValueDictionary()
"""By the id of a rule, the optimizer that it was last prepared for."""


class RuleStep:
    """Takes a step along what a rule adds to the gradients, in place of what backpropagation adds.

    rule: what makes the gradients.
    accumulates: whether it takes lists of batches, as `step_accumulated` does.
    options: of these gradients, as `step` has them: clip_grad_norm or clip_grad_value, and precision.
    """

    def __init__(self, rule: Rule, accumulates: bool = False, **options: Any) -> None:
        self.rule, self.accumulates = rule, accumulates
        self.keywords: dict[str, Any] = options

    def prepare(self, net: Module, loss: Module, optimizer: Optimizer) -> None:
        """Let the rule draw what it needs, unless this optimizer has begun to train with it.

        Raises ArgumentError for a rule that has gone on to another training since.
        """
        rule, position = self.rule, position_of(optimizer)
        if position.rule is not rule:
            rule.prepare(net, loss)
            position.rule, _last[id(rule)] = rule, optimizer
        elif _last.get(id(rule)) is not optimizer:
            name = type(rule).__name__
            raise ArgumentError(
                f"rule: must be one for each optimizer, got a {name} with which another optimizer has begun to train "
                f"since; make a {name} for each"
            )

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError for a rule that does not return a loss and a weight."""
        self.prepare(net, loss, optimizer)
        precision: HalfPrecision | None = self.keywords.get("precision")
        take = gradients_of_several if self.accumulates else gradients_of_one
        try:
            if precision is None:
                result = take(self.rule, net, loss, inputs, targets)
            else:
                with precision.computing(net, loss, apart=True):
                    result = take(self.rule, net, loss, inputs, targets)
        except Exception as error:
            add_path(error, net)
            raise
        update(optimizer, **self.keywords)
        return result


def rules_of(take_step: Any) -> list[Rule]:
    """What makes the gradients of a step in place of backpropagation: one rule, or none."""
    return [take_step.rule] if isinstance(take_step, RuleStep) else []


def rule_name(take_step: Any) -> str | None:
    """The class of the rule of a step; None for backpropagation."""
    return next((type(rule).__name__ for rule in rules_of(take_step)), None)


def rule_settings(take_step: Any) -> dict[str, Any]:
    """The settings of the rule of a step, by `rule.` and their names.

    They are the arguments of its class that it holds under the same names, if they are numbers or texts.
    """
    return {
        f"rule.{name}": value
        for rule in rules_of(take_step)
        for name in signature(type(rule)).parameters
        if isinstance(value := getattr(rule, name, None), (bool, int, float, str))
    }


@contextmanager
def unchanged_rule(take_step: Any, net: Module, loss: Module, optimizer: Optimizer) -> Iterator[None]:
    """Within this context, the rule of a step may be used; after it, its state is as it was."""
    prepare_rule(take_step, net, loss, optimizer)
    before = [copied(rule.state_dict()) for rule in rules_of(take_step)]
    try:
        yield
    finally:
        for rule, state in zip(rules_of(take_step), before, strict=True):
            rule.load_state_dict(state)


def copied(state: Any) -> Any:
    """A copy of the state of a rule, with tensors of its own."""
    if isinstance(state, dict):
        return {name: copied(value) for name, value in state.items()}
    if isinstance(state, list):
        return [copied(value) for value in state]
    return state.clone() if isinstance(state, Tensor) else state


def prepare_rule(take_step: Any, net: Module, loss: Module, optimizer: Optimizer) -> None:
    """Let the rule of a step, if it has one, draw what it needs. Raises ArgumentError for what it cannot train."""
    if isinstance(take_step, RuleStep):
        take_step.prepare(net, loss, optimizer)
