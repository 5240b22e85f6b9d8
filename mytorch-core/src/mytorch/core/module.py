"""The contract of every layer, container and loss."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from mytorch.core import tree
from mytorch.core.checks import require_pair
from mytorch.core.errors import ArgumentError
from mytorch.core.parameter import Buffer, Parameter
from mytorch.core.state import load_state


class Module:
    """A function of tensors that states its own derivative.

    A subclass writes two methods (and `__init__` if it has anything to set; the base needs no call):

        output, saved = module.forward(*inputs)      # saved: whatever backward needs, and nothing kept on self
        d_input = module.backward(d_output, saved)   # adds to the gradients of its parameters

    `d_output` has the structure of `output` (None for an output that was not used); `d_input` has one entry per
    positional input, bare if there is one, None for integers, masks and absent ones. A saved value is good for one
    backward. Inputs, upstream gradients and saved values are never written into. Gradients are sums over the batch.
    """

    training: bool = True
    _module_arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        module._module_arguments = args, kwargs
        return module

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        signature = inspect.signature(cls.__init__)  # `__new__` takes anything, so the signature is told here
        cls.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=list(signature.parameters.values())[1:], return_annotation=cls
        )

    def __init__(self) -> None:  # so that a layer without arguments refuses any
        pass

    def forward(self, *inputs: Any, **options: Any) -> tuple[Any, Any]:
        """Compute the output, and what `backward` will need."""
        raise NotImplementedError(f"{type(self).__name__}: forward must be defined")

    def backward(self, d_output: Any, saved: Any, /) -> Any:
        """Accumulate the parameters' gradients and return the inputs'."""
        raise NotImplementedError(f"{type(self).__name__}: backward must be defined")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The output alone. Containers override this to drop saved values layer by layer."""
        pair = self.forward(*inputs, **options)
        require_pair(self, pair)
        return pair[0]

    # What the module holds

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names. Containers override this to name them as in torch."""
        return tree.children_in_attributes(self)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module as "" and everything below it, each once."""
        return tree.once(tree.walk(self))

    def modules(self) -> Iterator[Module]:
        """This module and everything below it, each once."""
        return (module for _, module in self.named_modules())

    def named_param(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, own ones first, then the children's, as torch orders them."""
        return tree.once(tree.named_uses(self, Parameter))

    def param(self) -> list[Parameter]:
        """Every parameter once."""
        return [parameter for _, parameter in self.named_param()]

    def named_buffer(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer once."""
        return tree.once(tree.named_uses(self, Buffer))

    def zero_grad(self) -> None:
        """Set every parameter's gradient to None."""
        for parameter in self.param():
            parameter.grad = None

    # Mode, place and state

    def train(self, mode: bool = True) -> Self:
        """Switch this module and everything below it to training mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch this module and everything below it to evaluation mode."""
        return self.train(False)

    def to(self, device: torch.device | str | torch.dtype | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move parameters, their gradients and buffers; only floating-point tensors change their dtype."""
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentError(f"{type(self).__name__}: dtype must be floating point, got {dtype}")

        def moved(value: Tensor) -> Tensor:
            return value.to(device=device, dtype=dtype if value.is_floating_point() else None)

        with torch.inference_mode(False), torch.no_grad():
            for parameter in self.param():
                parameter.value = moved(parameter.value)
                if parameter.grad is not None:
                    parameter.grad = moved(parameter.grad)
            for _, buffer in self.named_buffer():
                buffer.value = moved(buffer.value)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Name and tensor of every parameter and buffer, under torch's names; a tied one under every name.

        The tensors share memory with the module's.
        """
        return {name: held.value for name, held in self.named_state()}

    def named_state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Every parameter and buffer under every one of its names, in torch's order."""
        for path, module in tree.walk(self):
            for kind in (Parameter, Buffer):
                yield from ((f"{path}.{name}" if path else name, held) for name, held in tree.own(module, kind))

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> None:
        """Copy values into the parameters and buffers, in place.

        With `strict`, every name must fit. Raises StateError with all differences, before anything is copied.
        """
        load_state(self, state, strict)

    # Leaving out the gradient of the data

    input_grad: bool = True
    """Whether backward returns the gradient of the input. Set False on the outermost module to save the work.

    It is passed on to the child that receives only the container's input, if that child is used once.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "input_grad":  # no property, since every layer reads it at every step
            self._pass_on(value)
        else:
            super().__setattr__(name, value)

    def _pass_on(self, wanted: bool) -> None:
        uses = Counter(id(module) for _, module in tree.walk(self))
        module: Module | None = self
        while module is not None and uses[id(module)] == 1:
            vars(module)["input_grad"] = wanted
            module = module.first_child()

    def first_child(self) -> Module | None:
        """The child that receives only this module's input, if there is one; containers override this."""
        return None

    # How it was built

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, defaults included; modules among them as they are now.

        An argument that is a module, or a list or dict of modules, is read from the attribute of the same name, so
        that a replaced child is described and not the one of the day of construction.
        """
        args, kwargs = self._module_arguments
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        _, *named = bound.arguments.items()
        return {name: getattr(self, name, value) if _has_module(value) else value for name, value in named}

    def extra_repr(self) -> str:
        """The arguments that are not at their defaults, without modules."""
        defaults = {
            name: parameter.default for name, parameter in inspect.signature(type(self).__init__).parameters.items()
        }
        return ", ".join(
            f"{name}={value!r}"
            for name, value in self.arguments().items()
            if not _has_module(value) and not isinstance(value, Tensor) and value is not defaults[name]
            if not (type(value) in (int, float, str, tuple) and value == defaults[name])
        )

    def __repr__(self) -> str:
        children = [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "\n".join([self.extra_repr(), *children, ""]) if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"


def _has_module(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(isinstance(entry, Module) for entry in value.values())
    if isinstance(value, list | tuple):
        return any(isinstance(entry, Module) for entry in value)
    return isinstance(value, Module)
