"""A module of ours as a torch.nn.Module, with its own backward behind PyTorch's autograd."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn

from mytorch.core import (
    ArgumentError,
    AutogradError,
    Buffer,
    Loss,
    Module,
    Parameter,
    require_initialized,
    require_kind,
    tree,
)
from mytorch.train.interop._gradient import Call, compute
from mytorch.train.interop._taken_apart import taken_apart


class Part(nn.Module):
    """What a `ToTorch` shows of one module: its parameters and buffers under torch's names, its mode and settings."""

    def __init__(self, module: Module | None) -> None:
        super().__init__()
        self.training = module is None or module.training
        self._module = module
        self._held: dict[str, Parameter | Buffer] = {}
        self._tied: dict[str, tuple[Part, str]] = {}
        self._known: dict[str, nn.Parameter] = {}  # those to stay; torch.func.functional_call puts others for one call

    def forward(self, *_inputs: Any, **_options: Any) -> Any:
        """Raises ArgumentError: the whole is computed as one."""
        raise ArgumentError(
            f"to_torch: {self._get_name()} must be computed within the whole, got a call of its own; convert it alone "
            "with to_torch"
        )

    def _hold(self, name: str, held: Parameter | Buffer, first: dict[int, tuple[Part, str]]) -> None:
        """Show a parameter or buffer, in the same memory; a tied parameter is the same one under all its names."""
        if not isinstance(held, Parameter):
            self._held[name] = held
            self.register_buffer(name, held.value)
        elif id(held) in first:
            self._tied[name] = first[id(held)]
            self.register_parameter(name, None)
            self._follow()
        else:
            first[id(held)] = self, name
            self._held[name] = held
            self.register_parameter(name, nn.Parameter(held.value, requires_grad=held.trainable))

    def _follow(self) -> None:
        """Let the module have the tensors that are here now, moved or converted, and keep tied what is tied."""
        for name, (part, other) in self._tied.items():
            if name in self._parameters and other in part._parameters:
                self._parameters[name] = part._parameters[other]
        for name, held in self._held.items():
            here: Any = self._parameters if isinstance(held, Parameter) else self._buffers
            tensor = here.get(name)
            if tensor is not None and not (held.initialized and held.value is tensor):
                held.value = tensor

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Register a parameter, and let the module have it, too."""
        super().register_parameter(name, param)
        if param is not None and name in self._held:
            self._known[name] = param
            self._held[name].value = param

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Part:
        result: Part = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._known = {name: param for name, param in self._parameters.items() if param is not None}
        self._follow()
        return result

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        self._follow()  # with assign=True, the tensors are others now

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._follow()

    def _replicate_for_data_parallel(self) -> NoReturn:
        raise ArgumentError(
            "to_torch: the module must stay one, got a replica of torch.nn.DataParallel, whose threads would share "
            "its parameters; use torch.nn.parallel.DistributedDataParallel"
        )

    def _get_name(self) -> str:
        return "Module" if self._module is None else type(self._module).__name__

    def extra_repr(self) -> str:
        """The module's settings."""
        return "" if self._module is None else self._module.extra_repr()


class Inner(Part):
    """A part below the whole. Hooks on it would never be called, so they are refused."""


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(self: Inner, *_given: Any, **_options: Any) -> NoReturn:
        raise ArgumentError(
            f"to_torch: {name} must be called on the whole, which is computed as one, got {self._get_name()} within "
            "it; convert the parts one by one to put hooks between them"
        )

    return refuse


for _name in ("forward", "forward_pre", "full_backward", "full_backward_pre", "backward"):
    setattr(Inner, f"register_{_name}_hook", _refusing(f"register_{_name}_hook"))


class ToTorch(Part):
    """A module of mytorch as one of PyTorch, whose gradients are those of the module's own backward.

    `to_torch` makes it, and says how it behaves.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, ReLU, Sequential
        >>> from mytorch.train.interop import to_torch
        >>> net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
        >>> module = to_torch(net)
        >>> module.ours is net
        True
        >>> [name for name, _ in module.named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias']
        >>> module(torch.randn(5, 2)).sum().backward()
        >>> module.get_parameter("0.weight").grad.shape
        torch.Size([3, 2])
    """

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        _show(self, module, {id(module): self}, {})
        named = [(*_split(name), held) for name, held in tree.named_once(module, Parameter, Buffer)]
        self._links = [(cast(Part, self.get_submodule(path)), name, held) for path, name, held in named]

    @property
    def ours(self) -> Module:
        """What it was made of, with the same parameters."""
        module: Module = vars(self)["_module"]
        return module

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The module's output. Gradients flow to its positional inputs and its parameters."""
        compute: Callable[..., Any] = self._compute
        if "torch._dynamo" in sys.modules:
            compute = torch.compiler.disable(compute)  # for the modules inside
        return compute(inputs, options)

    # What torch.compile leaves out of its graphs, as by torch.compiler.disable, which would take seconds to import
    forward._torchdynamo_disable = True  # type: ignore[attr-defined]

    def _compute(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        inputs, options = _by_position(self.ours, inputs, options)
        for part in self.modules():
            if isinstance(part, Part) and part._module is not None:
                part._module.training = part.training
        values, temporary = self._values()
        tensors, nesting = taken_apart(inputs)
        device = next((each.device.type for each in (*values, *tensors)), "cpu")
        if torch.is_autocast_enabled(device):
            tensors = _as_parameters(tensors, values)
        parameters = [held for _, _, held in self._links if isinstance(held, Parameter)]
        call = Call(self.ours, parameters, temporary, nesting, len(tensors), device, options)
        with self._buffers_followed():
            return compute(call, tensors, values)

    def _values(self) -> tuple[list[Tensor], bool]:
        """The parameters' values, and whether there are some only for this call, such as a parametrization's.

        The others, which may have been moved or converted, become those of the module for good.
        """
        values: list[Tensor] = []
        temporary = False
        for owner, name, held in self._links:
            if isinstance(held, Parameter):
                value: Tensor = getattr(owner, name)
                values.append(value)
                if owner._known.get(name) is value:
                    held.value = value
                else:
                    temporary = True
        return values, temporary

    @contextmanager
    def _buffers_followed(self) -> Iterator[None]:
        """Within this context the module has the buffers that are here; those that it replaces come here, too."""
        links = [
            (owner._buffers, name, held, owner._buffers[name], held.value)
            for owner, name, held in self._links
            if not isinstance(held, Parameter)
        ]
        for _, _, held, here, _ in links:
            held.value = here
        yield
        for buffers, name, held, here, before in links:
            if held.value is not here:
                buffers[name] = held.value
            elif before is not here:  # torch.func.functional_call gave one for this call
                held.value = before


def _show(part: Part, module: Module, shown: dict[int, Part], first: dict[int, tuple[Part, str]]) -> None:
    """Give a part what its module holds, and parts for the modules inside."""
    for kind in (Parameter, Buffer):
        for name, held in tree.own(module, kind):
            part._hold(name, held, first)
    for name, child in module.named_children():
        *path, last = name.split(".")
        owner: nn.Module = part
        for step in path:
            if step not in owner._modules:
                owner.add_module(step, Inner(None))
            owner = owner.get_submodule(step)
        known = shown.get(id(child))
        owner.add_module(last, known or shown.setdefault(id(child), Inner(child)))
        if known is None:
            _show(shown[id(child)], child, shown, first)


def _split(name: str) -> tuple[str, str]:
    path, _, last = name.rpartition(".")
    return path, last


def _by_position(
    module: Module, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Inputs that were passed by name at their positions, since those have gradients. Raises AutogradError."""
    if options:
        bound = inspect.signature(module.forward).bind(*inputs, **options)
        inputs, options = bound.args, bound.kwargs
    if torch.is_grad_enabled():
        fixed = {"target": inputs[1:]} if isinstance(module, Loss) else options
        for name, value in fixed.items():
            if any(tensor.requires_grad for tensor in taken_apart(value)[0]):
                raise AutogradError(
                    f"to_torch: {name} of {type(module).__name__} must not require grad, since it is not "
                    f"differentiated, got a tensor with requires_grad=True; pass {name}.detach()"
                )
    return inputs, options


def _as_parameters(tensors: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """Floating-point inputs in the dtype of the parameters: what is computed as one is not computed in autocast's."""
    dtype = next((each.dtype for each in parameters if each.is_floating_point()), torch.float32)
    return [each.to(dtype) if each.is_floating_point() else each for each in tensors]


def to_torch(module: Module) -> ToTorch:
    """A layer, model or loss of mytorch as a torch.nn.Module whose gradients are computed by its own backward.

    It goes wherever a torch.nn.Module goes: into other modules, under optimizers and schedules of torch.optim, into
    DistributedDataParallel, to another device or dtype, through copy, pickle and torch.save.

    Parameters and buffers are in the same memory as the module's, under the same names, tied ones included; `to()` and
    `load_state_dict` of the new one change both, and so does its mode: `train()` and `eval()` of it and of the modules
    inside are handed on at each call. It is built from the module as it is: layers added later are not seen.

    Gradients flow to positional inputs, in tuples, too, and to the parameters that require grad; an input by name is
    brought to its position. Masks and other keyword arguments, and the targets of losses, have none, and must not
    require grad. It is one operation of autograd: hooks go on the whole; torch.compile leaves it out of its graphs; it
    computes in the dtype of its parameters under torch.autocast; saved tensors are freed when its whole backward has
    ended. With retain_graph=True it can be called again; gradients of gradients are an AutogradError.
    Raises ArgumentError for what is no Module; UninitializedError if a lazy layer has no weights yet.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, RMSNorm, Sequential
        >>> from mytorch.train.interop import to_torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 8), to_torch(Sequential(RMSNorm(8), Linear(8, 1))))
        >>> optimizer = torch.optim.AdamW(model.parameters())
        >>> model(torch.randn(5, 2)).square().mean().backward()
        >>> optimizer.step()
    """
    require_kind("to_torch", "module", module, Module)
    require_initialized(type(module).__name__, module.named_state())
    return ToTorch(module)
