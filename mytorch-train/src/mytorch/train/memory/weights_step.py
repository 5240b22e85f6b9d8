"""A training step of a model whose weights lie on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer
from mytorch.plugins import shown
from mytorch.train.around_step import AroundStep
from mytorch.train.mean_loss import Weight
from mytorch.train.memory.mapped import is_on_disk, on_disk, require_mapping, to_disk
from mytorch.train.setup import Setup


class WeightsStep(AroundStep):
    """Takes the step that `plain` takes, with the state that the optimizer begins in temporary files.

    plain: `step_in_backward`, with its options, by which one gradient at a time is in memory.
    weights: where they lie: "disk".
    """

    def __init__(self, plain: Callable[..., Any], weights: str = "disk") -> None:
        if weights != "disk":
            raise ArgumentError(f"weights: must be 'disk', or left out, got {shown(weights)}")
        require_mapping()
        self.plain, self.weights = plain, weights

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises FileError if a disk has no room."""
        with on_disk():
            result: tuple[Tensor, Weight] = self.plain(net, loss, optimizer, inputs, targets)
        return result


def are_weights_on_disk(take_step: Any) -> bool:
    """Whether a step is one for weights on disk, or one around it."""
    while isinstance(take_step, AroundStep):
        if isinstance(take_step, WeightsStep):
            return True
        take_step = take_step.plain
    return False


def keeping_weights(take_step: Any) -> AbstractContextManager[None]:
    """The context of a training with this step: what it keeps lies on disk if its weights do."""
    return on_disk() if are_weights_on_disk(take_step) else nullcontext()


def prepare_weights(setup: Setup) -> None:
    """Move what a training has in memory to disk, one tensor after the other, if its step says so.

    Those that share memory with another one stay. Raises ArgumentError for a net on another device, FileError if there
    is no room; then some lie on disk and the others where they were.
    """
    if not are_weights_on_disk(setup.step):
        return
    if setup.device.type != "cpu":
        raise ArgumentError(
            f"weights: must be left out with a net on {setup.device}, which computes in memory of its own, got "
            "'disk'; train on the CPU"
        )
    held = dict.fromkeys([*setup.tensors, *(each for _, each in setup.loss.named_state())])
    shared = Counter(each.value.untyped_storage().data_ptr() for each in held)
    with torch.inference_mode(False), torch.no_grad():
        for each in held:
            if not is_on_disk(each.value) and shared[each.value.untyped_storage().data_ptr()] == 1:
                each.value = to_disk(each.value)
        for state in setup.optimizer.state.values():
            for name, entry in state.items():
                if isinstance(entry, Tensor) and not is_on_disk(entry):
                    state[name] = to_disk(entry)
