"""A learning rule under test, on a net of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Parameter, Rule, seed_torch
from mytorch.testing.errors import CheckError, tried
from mytorch.testing.rule.nets import Task, classes, jumps, normalised, numbers

BUILDS: tuple[Callable[[], Task], ...] = (numbers, classes, jumps, normalised)
"""The nets of the kit; a rule is tried on the first that it trains."""


@dataclass(frozen=True)
class RuleCase:
    """What is checked: a way to build a rule, and what it trains.

    build: draws a net, its loss and a batch;  seed: of that
    lr, steps: with what and how long the net is trained
    """

    factory: Callable[[], Rule]
    build: Callable[[], Task]
    seed: int
    lr: float
    steps: int


class Trial:
    """A rule that has prepared for a net drawn from the seed of a case."""

    def __init__(self, case: RuleCase, rule: Rule | None = None) -> None:
        seed_torch(case.seed)
        self.task = case.build()
        self.net, self.loss = self.task.net, self.task.loss
        self.net.input_grad = False
        self.rule = case.factory() if rule is None else rule
        with tried(lambda: "prepare(net, loss)"):
            self.rule.prepare(self.net, self.loss)

    @property
    def named(self) -> dict[str, Any]:
        """The trained parameters by name."""
        return {name: held for name, held in self.net.named_param() if held.trainable}

    def gradients(self) -> tuple[Any, Any]:
        """Let the rule add to the gradients. Raises CheckError unless it returns a pair."""
        with tried(lambda: "gradients(net, loss, inputs, targets)"):
            result = self.rule.gradients(self.net, self.loss, self.task.inputs, self.task.targets)
        if type(result) is not tuple or len(result) != 2:
            raise CheckError(f"gradients must return the loss and its weight, got {type(result).__name__}")
        return result

    def update(self) -> dict[str, Tensor]:
        """What the rule adds to the gradients, by name of the parameter; zeros where it adds nothing."""
        self.net.zero_grad()
        self.gradients()
        return self._taken()

    def update_of(self, rows: slice) -> tuple[dict[str, Tensor], float]:
        """What the rule adds for a part of the batch, and the weight of this part."""
        self.task = self.task._replace(inputs=self.task.inputs[rows], targets=self.task.targets[rows])
        self.net.zero_grad()
        _, weight = self.gradients()
        return self._taken(), float(weight)

    def update_of_several(self, parts: list[slice]) -> dict[str, Tensor]:
        """What the rule adds for parts of the batch by its method for several batches."""
        inputs, targets = ([each[rows] for rows in parts] for each in (self.task.inputs, self.task.targets))
        self.net.zero_grad()
        with tried(lambda: "gradients_of_several(net, loss, inputs, targets)"):
            self.rule.gradients_of_several(self.net, self.loss, inputs, targets)  # type: ignore[attr-defined]
        return self._taken()

    def backpropagated(self) -> dict[str, Tensor]:
        """The gradients of backpropagation."""
        self.net.zero_grad()
        y, saved = self.net.forward(self.task.inputs)
        self.net.backward(self.loss.backward(1.0, self.loss.forward(y, self.task.targets)[1]), saved)
        return self._taken()

    def value(self) -> float:
        """The loss of the batch."""
        return float(self.loss(self.net(self.task.inputs), self.task.targets))

    def state(self) -> Mapping[str, Any]:
        """A copy of the state of the rule, as a checkpoint has it."""
        with tried(lambda: "state_dict()"):
            return deepcopy(self.rule.state_dict())

    def load(self, state: Mapping[str, Any]) -> Trial:
        """Let the rule go on from a state."""
        with tried(lambda: "load_state_dict(state)"):
            self.rule.load_state_dict(deepcopy(state))
        return self

    def move(self, lr: float) -> Trial:
        """Take a step along the update."""
        for name, d in self.update().items():
            self.named[name].value.sub_(lr * d)
        return self

    def layers(self) -> list[tuple[str, Module]]:
        """The layers with a weight, from the input up."""
        return [
            (path, layer)
            for path, layer in self.net.named_modules()
            if isinstance(vars(layer).get("weight"), Parameter)
        ]

    def below(self, path: str, update: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What of an update is of layers below one of them."""
        paths = [path for path, _ in self.layers()]
        lower = paths[: paths.index(path)]
        return {name: d for name, d in update.items() if name.rpartition(".")[0] in lower}

    def _taken(self) -> dict[str, Tensor]:
        found = {
            name: torch.zeros_like(held.value) if held.grad is None else held.grad.clone()
            for name, held in self.named.items()
        }
        self.net.zero_grad()
        return found


def choose_build(factory: Callable[[], Rule]) -> Callable[[], Task]:
    """The first of the kit's nets that the rule trains. Raises ArgumentError, with what it said, if it trains none."""
    said = []
    for build in BUILDS:
        task, rule = build(), factory()
        try:
            rule.prepare(task.net, task.loss)
            rule.gradients(task.net, task.loss, task.inputs, task.targets)  # some see only then what they are given
        except ArgumentError as error:
            said.append(str(error))
        else:
            return build
    raise ArgumentError(
        f"check_rule: the rule must train a chain of layers, got: {'; '.join(dict.fromkeys(said))}; give a function "
        "that builds a net, a loss, inputs and targets: build=..."
    )


@contextmanager
def recorded(layers: list[tuple[str, Module]], found: dict[str, Tensor]) -> Iterator[None]:
    """Within this context, what each layer is given is written down by its path."""
    try:
        for path, layer in layers:
            vars(layer)["forward"] = _recording(layer.forward, path, found)
        yield
    finally:
        for _, layer in layers:
            vars(layer).pop("forward")


def _recording(forward: Callable[..., Any], path: str, found: dict[str, Tensor]) -> Callable[..., Any]:
    def recording(x: Tensor) -> Any:
        found[path] = x
        return forward(x)

    return recording
