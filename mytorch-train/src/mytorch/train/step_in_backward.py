"""A training step in which each parameter is updated during the backward pass, as soon as its gradient is complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from torch import Tensor

from mytorch.core import Module, MytorchError, Optimizer, Parameter, add_path, tree
from mytorch.train.observe import Method, intercept
from mytorch.train.step import gradients


class LateGradientError(MytorchError, RuntimeError):
    """A gradient was added to after it counted as complete and its parameter was updated."""


def step_in_backward(net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any) -> Tensor:
    """As `step`, with the same results, but gradients take the memory of the largest layer and not of the model.

    A gradient is complete, and its parameter updated and the gradient freed, when every forward of the modules that
    hold the parameter has been answered by a backward. What is not complete by the end, such as parameters of the
    loss, is updated then. An error or Ctrl-C in mid-backward leaves the layers that it has passed updated, and the
    others not.

    The results are the same if every module holds, as attributes, all parameters that it reads in its backward.
    One that reads its child's weight after the child's backward sees it updated, which is not noticed.

    Raises ArgumentError for an optimizer that must see all gradients at once; LateGradientError if a module adds to
    the gradient of a parameter that it does not hold itself, after the backward of those that do.
    """
    optimizer.require_steps_apart()
    updates = _Updates(net, optimizer)
    try:
        with intercept(updates.holders, updates.around):
            value = gradients(net, loss, inputs, targets)
        updates.require_none_late(updates.done)
    except Exception as error:
        add_path(error, net)
        raise
    optimizer.step()
    optimizer.zero_grad()
    return value


class _Updates:
    """The updates of one step: which gradients are still to come, and which parameters have had theirs."""

    def __init__(self, net: Module, optimizer: Optimizer) -> None:
        self.net, self.optimizer = net, optimizer
        self.trained = {p for group in optimizer.param_groups for p in group["params"] if p.trainable}
        self.own = {id(module): own for module in net.modules() if (own := self._own(module))}  # some have no hash
        self.in_flight: Counter[Parameter] = Counter()
        self.done: set[Parameter] = set()

    @property
    def holders(self) -> Iterator[tuple[str, Module]]:
        """The modules that hold a parameter to be updated themselves."""
        return (("", module) for module in self.net.modules() if id(module) in self.own)  # nobody asks for the paths

    def around(self, _path: str, module: Module, name: str, method: Method) -> Method:
        """What stands for a holder's forward and backward."""
        own = self.own[id(module)]

        def forward(*inputs: Any, **options: Any) -> Any:
            self.in_flight.update(own)
            return method(*inputs, **options)

        def backward(*given: Any) -> Any:
            d_input = method(*given)
            del given  # so that the update finds them freed
            self.in_flight.subtract(own)
            self._update([p for p in own if self.in_flight[p] == 0 and p.grad is not None])
            return d_input

        return forward if name == "forward" else backward

    def require_none_late(self, updated: Collection[Parameter]) -> None:
        """Raise LateGradientError if one that was updated has a gradient again."""
        if late := {p for p in updated if p.grad is not None}:
            first = next(name for name, p in self.net.named_param() if p in late)
            raise LateGradientError(
                f"optimizer_in_backward: the gradient of {first} must be complete when the backward of every module "
                "that holds it is through, got more after its update; let the module that adds to it hold the "
                "parameter as an attribute, or leave optimizer_in_backward out"
            )

    def _own(self, module: Module) -> list[Parameter]:
        held = dict.fromkeys(parameter for _, parameter in tree.own(module, Parameter))
        return [parameter for parameter in held if parameter in self.trained]

    def _update(self, complete: list[Parameter]) -> None:
        self.require_none_late(self.done.intersection(complete))
        self.optimizer.step_only(complete)
        for parameter in complete:
            parameter.grad = None
        self.done.update(complete)
