"""One training step, or several, as a graph of tensor operations."""

from __future__ import annotations

import copy
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from mytorch.core import Module, MytorchError, Optimizer, Parameter, Schedule, random_state
from mytorch.core.compiling import compiling_here
from mytorch.plugins import COMPILING, is_older, shown
from mytorch.train.compiled.carry import Carry, Slot
from mytorch.train.mean_loss import Weight
from mytorch.train.setup import TakeStep
from mytorch.train.step import step


class TraceError(MytorchError, RuntimeError):
    """A training step cannot be written as a function of tensors; the text says what stands in the way."""


@dataclass(frozen=True)
class Recipe:
    """A training step as a function of tensors."""

    net: Module
    loss: Module
    optimizer: Optimizer
    carry: Carry
    settings: tuple[tuple[int, str], ...]
    """Group and name of each setting that may change from step to step."""
    structure: Any
    """How the tensors of a batch make up (inputs, targets)."""
    step: TakeStep = step
    """Takes a step."""

    def call(self, steps: int, *tensors: Tensor) -> list[Tensor]:
        """Take so many steps in place. Returns the losses and their weights (steps,).

        tensors: those that `carry` names, which are changed; the settings (steps, count of numbers) in float64; each
        tensor of the batches with a leading axis of steps.
        """
        count = len(self.carry.slots)
        carried, settings, leaves = tensors[:count], tensors[count], tensors[count + 1 :]
        losses, weights = [], []
        with self._placed(dict(zip(self.carry.slots, carried, strict=True))) as optimizer:
            for number in range(steps):
                given = self._given(settings[number])
                for (group, name), value in given.items():
                    optimizer.param_groups[group][name] = value
                inputs, targets = pytree.tree_unflatten([leaf[number] for leaf in leaves], self.structure)
                value, weight = self.step(self.net, self.loss, optimizer, inputs, targets)
                losses.append(value)
                weights.append(weight)
                self._require_same_settings(optimizer, given)
            self._require_same_state(optimizer)
            self._write(carried, optimizer)
            return [torch.stack(losses), stacked(weights)]

    def _write(self, carried: Sequence[Tensor], optimizer: Optimizer) -> None:
        """Copy what was replaced instead of changed in place, all of it before any is overwritten."""
        after = [slot.tensor(optimizer) for slot in self.carry.slots]
        for slot, before, value in zip(self.carry.slots, carried, after, strict=True):
            if value.shape != before.shape:
                raise TraceError(f"{slot.name}: shape must stay {tuple(before.shape)}, got {tuple(value.shape)}")
        replaced = [(before, value) for before, value in zip(carried, after, strict=True) if value is not before]
        for before, value in [(before, value.clone()) for before, value in replaced]:
            before.copy_(value)

    def _given(self, numbers: Tensor) -> dict[tuple[int, str], Tensor | tuple[Tensor, ...]]:
        """The settings of one step, as tensors, or as tuples of them where a setting is several numbers."""
        given: dict[tuple[int, str], Tensor | tuple[Tensor, ...]] = {}
        taken = (value.clone() for value in numbers.unbind())
        for group, name in self.settings:
            held = self.optimizer.param_groups[group][name]
            values = tuple(next(taken) for _ in entries(held))
            given[group, name] = values if isinstance(held, (tuple, list)) else values[0]
        return given

    @contextmanager
    def _placed(self, values: dict[Slot, Tensor]) -> Iterator[Optimizer]:
        """Within this context the model holds `values`, and so does the optimizer that is given."""
        optimizer = _twin(self.optimizer)
        before = [(slot.held, slot.held.value, getattr(slot.held, "grad", None)) for slot in values]
        try:
            for slot, value in values.items():
                if slot.entry is not None:
                    optimizer.state[slot.held][slot.entry] = value  # type: ignore[index]
                    continue
                slot.held.value = value
                if isinstance(slot.held, Parameter):
                    slot.held.grad = None
            yield optimizer
        finally:
            for held, value, grad in reversed(before):
                held.value = value
                if isinstance(held, Parameter):
                    held.grad = grad

    def _require_same_settings(
        self, optimizer: Optimizer, given: dict[tuple[int, str], Tensor | tuple[Tensor, ...]]
    ) -> None:
        for number, before in enumerate(self.optimizer.param_groups):
            for name, value in optimizer.param_groups[number].items():
                handed = given.get((number, name), before.get(name))
                if value is not handed or any(isinstance(one, Tensor) and one._version for one in entries(value)):
                    raise TraceError(
                        f"{type(optimizer).__name__}: setting {name!r} must be left as it is by a step, got a "
                        "different value; a schedule may change it"
                    )

    def _require_same_state(self, optimizer: Optimizer) -> None:
        for parameter, after in optimizer.state.items():
            before = self.optimizer.state.get(parameter, {})
            for name, value in after.items():
                was = before.get(name)
                if not (isinstance(was, Tensor) if isinstance(value, Tensor) else value == was):
                    raise TraceError(
                        f"{type(optimizer).__name__}: state {name!r} must be a tensor from the first step on, "
                        f"got {shown(value)} after {was!r}; keep a count as a 0-dim tensor"
                    )


def stacked(weights: Sequence[Weight]) -> Tensor:
    """The weights of several batches as one tensor of float64."""
    return torch.stack(
        [w.double() if isinstance(w, Tensor) else torch.full((), w, dtype=torch.float64) for w in weights]
    )


def _twin(optimizer: Optimizer) -> Optimizer:
    """An optimizer that may be changed without changing the original; it holds the same parameters."""
    twin = copy.copy(optimizer)
    twin.param_groups = [dict(group) for group in optimizer.param_groups]
    twin.state = defaultdict(dict, {parameter: dict(held) for parameter, held in optimizer.state.items()})
    twin._fitted = {}
    return twin


def changing_settings(optimizer: Optimizer, schedule: Schedule | None) -> tuple[tuple[int, str], ...]:
    """Group and name of what may change during a run: the learning rate, what a schedule sets, and tensors.

    Raises TraceError for a setting that is neither a number nor several, as betas are.
    """
    found = []
    for number, group in enumerate(optimizer.param_groups):
        names = {"lr"} & group.keys()
        if schedule is not None:
            names |= schedule.driven
        names |= {name for name, value in group.items() if isinstance(value, Tensor)}
        for name in sorted(names):
            if not all(isinstance(value, (int, float, Tensor)) for value in entries(group[name])):
                raise TraceError(
                    f"{type(optimizer).__name__}: setting {name!r} must be a number, or a tuple of numbers, where a "
                    f"schedule changes it, got {shown(group[name])}"
                )
        found += [(number, name) for name in sorted(names)]
    return tuple(found)


def entries(setting: Any) -> Sequence[Any]:
    """What a setting consists of: the numbers of betas, and otherwise the setting itself."""
    return setting if isinstance(setting, (tuple, list)) else (setting,)


def setting_values(optimizer: Optimizer, settings: Sequence[tuple[int, str]]) -> list[float]:
    """The numbers of the settings now, in their order."""
    groups = optimizer.param_groups
    return [float(value) for group, name in settings for value in entries(groups[group][name])]


def require_compiling_torch() -> None:
    """Raise TraceError for a torch that traces too little of a step."""
    if is_older(torch.__version__, COMPILING):
        raise TraceError(f"torch must be {COMPILING} or newer to compile, got {torch.__version__}; upgrade torch")


@contextmanager
def tracing() -> Iterator[None]:
    """Within this context, optimizers use their formulas, and nothing is drawn from torch's generator.

    Of an operation that fails torch logs a traceback; here the error itself says enough.
    """
    require_compiling_torch()
    log = logging.getLogger("torch._subclasses.fake_tensor")
    silence = lambda _record: False  # noqa: E731 - another one each time, since threads may trace at once
    log.addFilter(silence)
    try:
        with random_state(), torch.inference_mode(False), torch.no_grad(), compiling_here():
            yield
    finally:
        log.removeFilter(silence)


def trace(recipe: Recipe, steps: int, examples: Sequence[Tensor]) -> GraphModule:
    """The graph of so many steps in place; nothing is computed, and nothing of the model changes.

    examples: tensors of the shapes and dtypes of one batch. Raises whatever the layers raise.
    """
    taken = make_fx(lambda *tensors: recipe.call(steps, *tensors), tracing_mode="fake", _allow_non_fake_inputs=True)
    with tracing():
        return taken(*arguments(recipe, steps, examples))


def arguments(recipe: Recipe, steps: int, examples: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the shapes, strides and dtypes that a step takes, none of which is the model's."""
    with torch.inference_mode(False):
        carried = [torch.empty_strided(x.shape, x.stride(), dtype=x.dtype) for x in recipe.carry.now()]
        count = len(setting_values(recipe.optimizer, recipe.settings))
        settings = torch.zeros(steps, count, dtype=torch.float64)
        leaves = [torch.zeros(steps, *example.shape, dtype=example.dtype) for example in examples]
        return [*carried, settings, *leaves]
