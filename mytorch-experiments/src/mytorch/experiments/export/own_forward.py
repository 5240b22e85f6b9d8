"""A layer that torch.nn has not, as a torch.nn.Module around its own forward."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mytorch.core import Buffer, Module, Parameter


class OwnForward(nn.Module):
    """The forward of a module of mytorch, with its weights as parameters and buffers under its own names.

    It has no gradients: it is there to be recorded.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self._module = module
        self._names = [name for name, _ in module.named_state()]
        for name, held in module.named_state():
            owner, _, attribute = name.rpartition(".")
            if isinstance(held, Parameter):
                value = nn.Parameter(held.value, requires_grad=False)
                self._holder(owner).register_parameter(attribute, value)
            else:
                self._holder(owner).register_buffer(attribute, held.value)

    def _holder(self, path: str) -> nn.Module:
        """The submodule of this path, made where there is none."""
        holder: nn.Module = self
        for step in filter(None, path.split(".")):
            if step not in holder._modules:
                holder.add_module(step, nn.Module())
            holder = holder.get_submodule(step)
        return holder

    def _value(self, name: str) -> Tensor:
        owner, _, attribute = name.rpartition(".")
        value: Tensor = getattr(self.get_submodule(owner), attribute)
        return value

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the layer makes of its inputs with the weights that are here now."""
        held: list[Parameter | Buffer] = [one for _, one in self._module.named_state()]
        before = [one.value for one in held]
        try:
            for name, one in zip(self._names, held, strict=True):
                one.value = self._value(name)
            return self._module(*inputs, **options)
        finally:
            for one, value in zip(held, before, strict=True):
                one.value = value

    def _get_name(self) -> str:
        return type(self._module).__name__
