"""When each gradient is complete: in the middle of the backward pass, as soon as nothing can add to it any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mytorch.core import Module, MytorchError, Parameter
from mytorch.train.observe import Method, intercept

Complete = Callable[[list[Parameter]], object]


class LateGradientError(MytorchError, RuntimeError):
    """A contribution to a gradient came after the gradient had counted as complete and had been used."""


@contextmanager
def completion(
    net: Module, parameters: Iterable[Parameter], tell: Complete, user: str = "completion"
) -> Iterator[None]:
    """Within this context, a backward pass reports each gradient as soon as it is complete.

    A gradient is complete when every forward of the modules that hold the parameter themselves has had its backward; a
    tied parameter waits for all modules that hold it.

    tell: is given the parameters whose gradients have become complete, with the gradients in them, which are None
        after the call: who needs a gradient keeps it and puts it back when the context has ended. What is not complete
        by then, such as the gradient of a layer with a forward that no backward answers, or of a parameter that no
        module of the net holds, is told at the end, in the order of `parameters`.
    parameters: the parameters to report; those that are not trainable are never reported.
    user: what needs the gradients early, for the error message.

    A module that adds to the gradient of a parameter must hold it as an attribute. Raises LateGradientError for one
    that does not and comes after those that do; then, and after any other error, nothing is told at the end.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss, ReLU, Sequential
        >>> from mytorch.train import completion, gradients
        >>> net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
        >>> names = {parameter: name for name, parameter in net.named_param()}
        >>> with completion(net, net.param(), lambda complete: print([names[each] for each in complete])):
        ...     _ = gradients(net, MSELoss(), torch.randn(5, 2), torch.randn(5, 1))
        ['2.weight', '2.bias']
        ['0.weight', '0.bias']
    """
    pending = _Pending(net, parameters, tell, user)
    with intercept(pending.holders, pending.around):
        yield
    pending.require_none_late(pending.told)
    pending.end()


class _Pending:
    """Which gradients are still to come, and which have been told of.

    holders: the modules that hold a parameter to tell of themselves.
    """

    def __init__(self, net: Module, parameters: Iterable[Parameter], tell: Complete, user: str) -> None:
        self.net, self.tell, self.user = net, tell, user
        self.parameters = dict.fromkeys(each for each in parameters if each.trainable)
        found = [(module, own) for module in net.modules() if (own := self._own(module))]
        self.holders = [("", module) for module, _ in found]  # nobody asks for the paths
        self.own = {id(module): own for module, own in found}  # some have no hash
        self.in_flight = dict.fromkeys(self.parameters, 0)
        self.told: set[Parameter] = set()

    def around(self, _path: str, module: Module, name: str, method: Method) -> Method:
        """What stands for a holder's forward and backward."""
        own = self.own[id(module)]

        def forward(*inputs: Any, **options: Any) -> Any:
            for p in own:
                self.in_flight[p] += 1
            return method(*inputs, **options)

        def backward(*given: Any) -> Any:
            d_input = method(*given)
            del given  # so that whoever is told finds them freed
            for p in own:
                self.in_flight[p] -= 1
            self._complete([p for p in own if self.in_flight[p] == 0 and p.grad is not None])
            return d_input

        return forward if name == "forward" else backward

    def require_none_late(self, told: Collection[Parameter]) -> None:
        """Raise LateGradientError if one that was told of has a gradient again."""
        if late := {p for p in told if p.grad is not None}:
            first = next(name for name, p in self.net.named_param() if p in late)
            raise LateGradientError(
                f"{self.user}: the gradient of {first} must be complete when the backward of every module "
                "that holds it has ended, got more after that; let the module that adds to it hold the "
                f"parameter as an attribute, or leave {self.user} out"
            )

    def end(self) -> None:
        """Tell of what has a gradient and was not complete before."""
        self._complete([p for p in self.parameters if p.grad is not None])

    def _own(self, module: Module) -> list[Parameter]:
        held = [p for p in vars(module).values() if isinstance(p, Parameter) and p in self.parameters]
        return list(dict.fromkeys(held)) if len(held) > 1 else held

    def _complete(self, complete: list[Parameter]) -> None:
        if not complete:
            return
        self.require_none_late(self.told.intersection(complete))
        self.tell(complete)
        for parameter in complete:
            parameter.grad = None
        self.told.update(complete)
