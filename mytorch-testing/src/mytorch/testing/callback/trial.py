"""A callback under test, and the small training that it takes part in."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, Optimizer, Parameter, RandomState, persistent, random_state, seed_torch
from mytorch.plugins import Hooks
from mytorch.testing.compare import same_bits
from mytorch.testing.errors import CheckError, tried

EPOCHS, BATCHES, ROWS = 8, 3, 4
JUDGED = (1.0, 0.7, 0.8, 0.6, 0.9, 0.75, 0.95, 0.85)
"""What the validation and the test part say after each epoch: better, worse, and best in the fourth."""
LR, MOMENTUM, NOISE = 0.05, 0.9, 0.1


@dataclass(frozen=True)
class CallbackCase:
    """What is checked: a way to build a callback, and the seed of the training's random numbers.

    folder: what the training gives out as the folder of its run
    """

    factory: Callable[[], Any]
    seed: int
    folder: Path


class Weighted(Module):
    """y = weight * x + noise in training: the model that is trained."""

    def __init__(self) -> None:
        self.weight = Parameter(torch.rand(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        noise = NOISE * torch.randn_like(x) if self.training else torch.zeros_like(x)
        return self.weight.value * x + noise, x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor:
        self.weight.accumulate((d_y * x).sum(0))
        return self.weight.value * d_y


class Squares(Module):
    """sum((y - target)^2) / 2: the loss."""

    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return (prediction - target).square().sum() / 2, prediction - target

    def backward(self, d_value: float, difference: Tensor) -> Tensor:
        return d_value * difference


class Momentum(Optimizer):
    """m = momentum * m + d;  p = p - lr * m"""

    state_entries = {"momentum_buffer": "value"}  # noqa: RUF012

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": LR, "momentum": MOMENTUM})

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        for value, grad, state in zip(values, grads, states, strict=True):
            moved = state.setdefault("momentum_buffer", persistent(torch.zeros_like(value)))
            moved.mul_(group["momentum"]).add_(grad)
            value.sub_(group["lr"] * moved)


class Run:
    """A training as a callback sees it, with the attributes that docs/hooks.md names.

    It calls the hooks as a run does, after every step and every epoch, and can be stopped between two steps, and gone
    on with from there by another.
    """

    def __init__(self, case: CallbackCase, callback: Any = None) -> None:
        seed(case.seed)
        self.net, self.loss = Weighted().to(torch.float32), Squares()
        self.optimizer, self.schedule = Momentum(self.net.param()), None
        x = torch.randn(BATCHES * ROWS, 3)
        self.batches = SimpleNamespace(data=list(zip(x, 2 * x, strict=True)), batch_size=ROWS, accumulate=1)
        parts = {"net": self.net, "loss": self.loss, "optimizer": self.optimizer, "schedule": None}
        self.setup = SimpleNamespace(**parts, batches=self.batches, tensors=[self.net.weight], step=None)
        self.metrics, self.evaluate_every, self.validation, self.test = (), 1, None, None
        self.epochs = self.last_epoch = EPOCHS
        self.epoch = self.complete_epochs = 0
        self.folder, self.settings = case.folder, dict[str, Any]()
        self.history, self.notes = list[dict[str, float]](), dict[str, Any]()
        self.average: Any = None
        self.checkpoint: Any = None
        self.resumed: Any = None
        self.parallel: Any = None
        self.test_results: dict[str, float] | None = None
        self.columns = ["train_loss", "validation_loss"]
        self.callback = case.factory() if callback is None else callback
        self.hooks = Hooks(installed=False)
        self.hooks.add(self.callback, must_succeed=True)
        self._batch, self._stop, self._total = 0, False, 0.0

    @property
    def measured(self) -> list[str]:
        """What can be watched."""
        return [*self.columns, "test_loss"]

    def watch(self, _owner: str, name: str) -> None:
        """Have a number in the record of each epoch: whatever is asked for."""
        if name not in self.columns:
            self.columns.append(name)

    def begin(self, state: dict[str, Any] | None = None) -> Run:
        """Tell of the start; with a state, go on from it."""
        self.resumed = state = copy.deepcopy(state)
        self._notify("training_started")
        if state is None:
            return self
        self.net.load_state_dict(state["net"])
        self.net.weight.trainable, self.net.training = state["flags"]
        self.optimizer.load_state_dict(state["optimizer"])
        with tried(lambda: "load_state_dict with what state_dict returned"):
            self.hooks.load_state_dicts(state["callbacks"])
        self.epoch, self.complete_epochs, self._batch, self._stop, self._total = state["place"]
        self.history, self.notes = state["history"], state["notes"]
        self._notify("training_resumed")
        RandomState.from_state_dict(state["random"], self.net, self.loss).restore()
        return self

    def go(self, steps: int | None = None) -> Run:
        """Train to the end, or take so many steps more and stop after the last one, in the midst of it all."""
        while self.epoch < self.last_epoch or self._batch:
            if self._stop and not self._batch:
                break
            if self._batch == 0:
                self.epoch, self._total = self.epoch + 1, 0.0
            asked = False
            while self._batch < BATCHES and not asked:
                asked = self._step()
                steps = None if steps is None else steps - 1
                if steps == 0 and not asked:
                    return self
            self._stop |= asked
            self._close_epoch()
        return self

    def end(self) -> Run:
        """Tell of the end."""
        if self.average is not None:
            self.average.keep(self)
        self._notify("training_closing")
        self.test_results = {"loss": JUDGED[-1]}
        self._notify("training_ended")
        return self

    def fail(self) -> None:
        """Tell of an error that ends the training."""
        if self.average is not None:
            self.average.keep(self)
        self._notify("training_failed", error=RuntimeError("broken off by the check"))

    @property
    def has_stopped(self) -> bool:
        """Whether a callback has ended it, so that there is nothing to go on with."""
        return self._stop

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"epoch {self.epoch}, batch {self._batch}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as a copy."""
        with tried(lambda: "state_dict"):
            callbacks = self.hooks.state_dicts()
        state = {
            "net": self.net.state_dict(),
            "flags": (self.net.weight.trainable, self.net.training),
            "optimizer": self.optimizer.state_dict(),
            "callbacks": callbacks,
            "place": (self.epoch, self.complete_epochs, self._batch, self._stop, self._total),
            "history": self.history,
            "notes": self.notes,
            "random": random_state(self.net, self.loss).state_dict(),
        }
        return copy.deepcopy(state)

    def require_same(self, other: Run, rule: str) -> None:
        """Raise CheckError unless both came to the same end."""
        mine, theirs = self.state(), other.state()
        named = {"the weights": "net", "the optimizer's state or settings": "optimizer", "the history": "history"}
        named |= {"the notes": "notes", "what is trained, and the mode": "flags"}
        for words, name in named.items():
            if not same(mine[name], theirs[name]):
                raise CheckError(f"{words} must {rule}")
        if self.hooks.stopped != other.hooks.stopped or self.epoch != other.epoch:
            raise CheckError(f"the end ({self._told()}, and {other._told()} in the other run) must {rule}")
        if not same(mine["callbacks"], theirs["callbacks"]):
            raise CheckError(f"what state_dict returns at the end must {rule}")

    def _told(self) -> str:
        return f"after {self.epoch} epochs" + (f", {self.hooks.stopped}" if self.hooks.stopped else "")

    def _step(self) -> bool:
        """Take one step. True if a hook asked to stop."""
        rows = self.batches.data[self._batch * ROWS : (self._batch + 1) * ROWS]
        x, target = (torch.stack(each) for each in zip(*rows, strict=True))
        y, saved = self.net.forward(x)
        value, saved_by_loss = self.loss.forward(y, target)
        self.net.backward(self.loss.backward(1.0, saved_by_loss), saved)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._batch += 1
        self._total += value.item()
        return self._notify("batch_ended", epoch=self.epoch, batch=self._batch, loss=value)

    def _close_epoch(self) -> None:
        self._batch, self.complete_epochs = 0, self.epoch
        self._stop |= self._notify("epoch_trained", epoch=self.epoch)
        with nullcontext() if self.average is None else self.average.in_place(self):
            group, judged = self.optimizer.param_groups[0], JUDGED[self.epoch - 1]
            record = {"epoch": self.epoch, "lr": float(group["lr"]), "seconds": 0.01}
            record |= {name: self._total if name == "train_loss" else judged for name in self.columns}
            self.history.append(record)
            self._stop |= self._notify("epoch_ended", epoch=self.epoch, record=record)

    def _notify(self, hook: str, **values: Any) -> bool:
        with tried(lambda: f"{hook} at {self.place}"), torch.inference_mode():
            return self.hooks.notify(hook, run=self, **values)


def seed(number: int) -> None:
    """Seed whatever a callback may draw from: torch, Python's `random` and, if it was imported, NumPy."""
    seed_torch(number)
    random.seed(number)
    if (numpy := sys.modules.get("numpy.random")) is not None:
        numpy.seed(number)


def same(one: Any, other: Any) -> bool:
    """Whether nested dicts, lists, tuples, tensors and numbers are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype is other.dtype and same_bits(one, other)
    return bool(type(one) is type(other) and (one == other or (one != one and other != other)))
