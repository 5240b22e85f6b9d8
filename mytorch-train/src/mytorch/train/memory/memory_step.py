"""A training step that keeps what layers save within a budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Optimizer, add_path
from mytorch.train.accumulate import accumulates
from mytorch.train.around_step import AroundStep
from mytorch.train.batches import Batches
from mytorch.train.mean_loss import Weight
from mytorch.train.memory.bytes_of import bytes_of
from mytorch.train.memory.measure import measure
from mytorch.train.memory.plan import Plan, choose_plan, least_bytes
from mytorch.train.memory.recompute import Recompute
from mytorch.train.observe import intercept
from mytorch.train.size import size


class MemoryStep(AroundStep):
    """Takes the step that `plain` takes, with the same results to the bit, and computes some layers twice.

    plain: `step`, `step_accumulated` or `step_in_backward`, with their options.
    memory: the most bytes that layers may save for the backward pass, or a text such as "2 GiB". Which layers are
        computed again is decided by the first batch, which is measured: of the plans that need no more, the one that
        takes the least time. Weights, gradients, the optimizer's state and the batch come on top, as do the
        temporary results of the layer at hand.
    """

    def __init__(self, plain: Callable[..., Any], memory: int | str) -> None:
        self.plain, self.memory = plain, memory
        self.budget = bytes_of("memory", memory)
        self.plan: Plan | None = None
        self._net: Module | None = None
        self._again: Recompute | None = None

    def prepare(self, net: Module, inputs: Any) -> Plan:
        """Choose the layers to compute again, by the inputs of a step. The net stays as it is.

        Raises ArgumentError, which says the least budget that is enough, for one that is too small.
        """
        try:
            measured = measure(net, inputs[0] if accumulates(self) else inputs)
        except Exception as error:
            add_path(error, net)
            raise
        plan = choose_plan(measured, self.budget)
        if plan is None:
            least = least_bytes(measured)
            raise ArgumentError(
                f"memory: must be at least {_written(least)}, which the first batch needs if layers are computed "
                f"again where that helps, got {self.memory}; use smaller batches, or smaller layers"
            )
        runs = [[(layer.path, layer.module) for layer in measured.layers[begin:end]] for begin, end in plan.runs]
        self.plan, self._net, self._again = plan, net, Recompute(net, runs)
        return plan

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError, before anything changes, for a budget that is too small."""
        if self._net is not net:
            with torch.inference_mode():
                self.prepare(net, inputs)
        assert self._again is not None
        with intercept(self._again.watched, self._again.around):
            result: tuple[Tensor, Weight] = self.plain(net, loss, optimizer, inputs, targets)
        return result


def prepare_memory(take_step: Any, net: Module, batches: Batches) -> dict[str, str]:
    """Let a step with a budget choose its layers before the training. What is to be said of it, by name.

    The net is measured as it is trained, and then as it was. Raises ArgumentError for a budget that is too small.
    """
    if not isinstance(take_step, MemoryStep) or not len(batches):
        return {}
    inputs, _ = batches.peek(1)
    modes, input_grad = [(module, module.training) for module in net.modules()], net.input_grad
    try:
        net.train()
        net.input_grad = False
        with torch.inference_mode():
            return {"memory": str(take_step.prepare(net, inputs))}
    finally:
        for module, mode in modes:
            module.training = mode
        net.input_grad = input_grad


def _written(count: int) -> str:
    """A number of bytes as it can be asked for, not rounded down."""
    return size(count) if size(count).endswith(" bytes") else f"{size(count)} ({count} bytes)"
