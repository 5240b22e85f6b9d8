"""Finding where a value first stopped being finite, by taking the epoch's steps again with every value checked.

So a healthy run pays for nothing but a look at the loss.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors

from mytorch.core import Buffer, Module, Parameter
from mytorch.train.errors import RankError
from mytorch.train.observe import observe
from mytorch.train.setup import Setup
from mytorch.train.snapshot import Snapshot

SMALL = 2**12
"""Tensors of at most so many numbers are joined to be added: an operation on each would take longer than the copy."""


@dataclass(frozen=True)
class Origin:
    """Where the first value that is not finite came up."""

    batch: int
    """Counted from 1 within the epoch."""
    where: str


class _Found(BaseException):
    """Ends a pass at the first value that is not finite; no error, so that no step takes it for one."""


def all_finite(value: Any) -> bool:
    """Whether every floating-point number in a tensor, or structure of tensors, is finite."""
    if isinstance(value, Tensor):
        return bool(value.isfinite().all())
    if isinstance(value, Mapping):
        return all(map(all_finite, value.values()))
    if isinstance(value, (tuple, list)):
        return all(all_finite(entry) for entry in value)
    return True


def values_finite(values: list[Tensor]) -> bool:
    """Whether all weights and buffers are finite, at the price of one pass over them.

    A device is waited for once, by one look at the sum of its values; on the processor, to add numbers is quicker.
    """
    total: complex = 0.0
    small: list[Tensor] = []
    elsewhere: dict[torch.device, Tensor] = {}
    for value in values:
        if not value.is_cpu:
            seen = elsewhere.get(value.device)
            elsewhere[value.device] = value.sum() if seen is None else seen + value.sum()
        elif value.numel() <= SMALL:
            small.append(value)
        else:
            total += value.sum().item()
    if small:
        total += _flatten_dense_tensors(small).sum().item()
    total += sum(one.item() for one in elsewhere.values())
    return cmath.isfinite(total) or all_finite(values)  # what is finite may have an infinite sum


Tell = Callable[[str | None], str | None]
"""Where one of several processes found a value that is not finite; of what each passes, the first that is not None."""


def find_origin(
    setup: Setup, start: Snapshot, order: Mapping[str, Tensor], batches: int, tell: Tell = lambda where: where
) -> Origin | None:
    """Replay an epoch up to the batch of this number, from `start`, where `order` was that of its batches.

    Leaves the model with the last good weights: those before the step that brought the value in. None if the steps
    cannot be repeated or are finite this time; then the weights are those of the start of the epoch.
    tell: what every process of several calls with what it found.
    """
    start.restore()
    if not setup.batches.replayable:
        return None
    setup.batches.set_order(order)
    good = Snapshot(setup)
    taken = setup.batches.first  # before `start`, in an epoch that was resumed
    for number, (inputs, targets) in enumerate(islice(setup.batches, batches - taken), taken + 1):
        good.take()
        where = _checked_step(setup, inputs, targets, tell)
        if where is not None:
            good.restore()
            return Origin(number, where)
        setup.advance("batch")
    start.restore()
    return None


def _checked_step(setup: Setup, inputs: Any, targets: Any, tell: Tell) -> str | None:
    """Take one step; the place of the first value that is not finite, or None."""
    net = setup.net
    here = set(setup.here(setup.tensors))  # and of these, a mask may hold -inf
    healthy = [(name, held) for name, held in net.named_state() if held in here and all_finite(held.value)]
    given = {"inputs": inputs, "targets": targets}
    wrong = next((f"the {name} of the batch" for name, value in given.items() if not all_finite(value)), None)
    if (where := tell(wrong)) is not None:
        return where

    def on_forward(path: str, module: Module, output: Any) -> None:
        if not all_finite(output):
            raise _Found(f"the output of {_layer(path, module)}")

    def on_backward(path: str, module: Module, d_input: Any) -> None:
        if setup.precision is not None and setup.precision.loss_scale is not None:
            return  # a step whose scaled gradients are not finite is left out
        for name, parameter in module.named_param():
            if parameter.grad is not None and not all_finite(parameter.grad):
                raise _Found(f"the gradient of {f'{path}.{name}' if path else name} in {_layer(path, module)}")
        if not all_finite(d_input):
            raise _Found(f"the gradient of the input of {_layer(path, module)}")

    try:
        with observe(net, on_forward, on_backward):
            value, weight = setup.take_step(inputs, targets)
    except _Found as found:
        return str(found)
    except RankError as error:
        if error.reason is None:
            raise
        return f"{error.reason} (rank {error.rank})"
    if weight != 0 and not all_finite(value):
        return f"the loss, {type(setup.loss).__name__}"
    return tell(next((_of(setup, name, held) for name, held in healthy if not all_finite(held.value)), None))


def _of(setup: Setup, name: str, held: Parameter | Buffer) -> str:
    update = f"after the update by {type(setup.optimizer).__name__}"
    return f"{name} {update}" if isinstance(held, Parameter) else f"the buffer {name}"


def _layer(path: str, module: Module) -> str:
    return f"layer {path!r} ({type(module).__name__})" if path else f"the model ({type(module).__name__})"
