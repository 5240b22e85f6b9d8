"""A torch.nn.Module as one of our layers, whose gradients are those of PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined]

from mytorch.core import (
    ArgumentError,
    AutogradError,
    Buffer,
    Loss,
    Module,
    Parameter,
    kind_of,
    require_d_value,
    require_dtype,
    require_input,
    require_saved,
    require_upstream,
)
from mytorch.core.compiling import is_compiling
from mytorch.train.interop._taken_apart import Place, at_places, mapped, put_together, taken_apart


class Kept:
    """A torch.nn.Module as an attribute: what it holds is found by its owner, who says so."""

    __slots__ = ("module",)

    def __init__(self, module: nn.Module) -> None:
        self.module = module


class Graph(NamedTuple):
    """What a forward keeps: the nesting of its inputs and outputs, and the tensors in both that autograd knows."""

    inputs: Any
    leaves: list[Tensor]
    outputs: Any
    tensors: list[Tensor]


class FromTorch(Module):
    """A torch.nn.Module that mytorch has no layer for: the only layer whose gradients are those of autograd.

    Forward:   y = module(x), recorded by autograd
    Backward:  d_x and the parameters' gradients by torch.autograd.grad
    Shapes:    those of the module; several inputs, tuples and options are handed on
    Raises:    ArgumentError for what is no torch.nn.Module, or a lazy one without weights; AutogradError within
               torch.compile, so that the compiled engine goes on eagerly; and what the module raises

    Parameters and buffers are in the same memory as the module's, under the same names. `from_torch` makes one for
    what has no twin. It is trained as any layer is, and its weights are in the state dict; a description has no place
    for it, so `save_model` refuses it. It leaves the module's hooks and parametrizations at work.

    Example:
        >>> import torch
        >>> from mytorch.train.interop import FromTorch
        >>> class Doubled(torch.nn.Linear):
        ...     def forward(self, x):
        ...         return 2 * super().forward(x)
        >>> layer = FromTorch(Doubled(2, 3))
        >>> layer
        FromTorch(Doubled, gradients by autograd)
        >>> y, saved = layer.forward(torch.ones(5, 2))
        >>> layer.backward(torch.ones(5, 3), saved).shape, layer.bias.grad
        (torch.Size([5, 2]), tensor([10., 10., 10.]))
    """

    def __init__(self, module: nn.Module) -> None:
        require_torch_module("FromTorch", module)
        self._kept = Kept(module)
        self._mode = self.training = module.training
        held: dict[int, Parameter] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if id(parameter) not in held:
                held[id(parameter)] = Parameter(parameter, parameter.requires_grad)
            vars(self)[name] = held[id(parameter)]
        for path, owner in module.named_modules():
            for name, buffer in owner._buffers.items():
                if buffer is not None and name not in owner._non_persistent_buffers_set:
                    vars(self)[f"{path}.{name}" if path else name] = Buffer(buffer)

    @property
    def module(self) -> nn.Module:
        """The module of PyTorch."""
        return self._kept.module

    def forward(self, *inputs: Any, **options: Any) -> tuple[Any, Graph]:
        tensors, nesting = self._checked(inputs)
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [_leaf(x, self.input_grad) for x in tensors]
            output = self._call(put_together(nesting, [_own(x) for x in leaves]), options)
        outputs, structure = taken_apart(output)
        return put_together(structure, [y.detach() for y in outputs]), Graph(nesting, leaves, structure, outputs)

    def backward(self, d_output: Any, saved: Graph) -> Any:
        if not isinstance(saved, Graph):
            require_saved(self, saved, Graph)
        pairs = list(self._upstream(d_output, saved))
        parameters = [
            (held, parameter)
            for held, parameter in self._parameters_now()
            if held.trainable and parameter.requires_grad
        ]
        leaves = [x for x in saved.leaves if x.requires_grad]
        wanted = [*leaves, *(parameter for _, parameter in parameters)]
        found: Sequence[Tensor | None] = [None] * len(wanted)
        if pairs and wanted:
            with torch.inference_mode(False):
                given = [d.clone() if d.is_inference() else d for _, d in pairs]
                found = torch.autograd.grad([y for y, _ in pairs], wanted, given, allow_unused=True)
                found = _fresh(found, given)
        for (held, _), gradient in zip(parameters, found[len(leaves) :], strict=True):
            if gradient is not None:
                held.accumulate(gradient)
        by_leaf = {id(x): gradient for x, gradient in zip(leaves, found, strict=False)}
        d_inputs = put_together(saved.inputs, [by_leaf.get(id(x)) for x in saved.leaves])
        return d_inputs[0] if len(d_inputs) == 1 else d_inputs

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        tensors, nesting = self._checked(inputs)
        with torch.no_grad():
            return self._call(put_together(nesting, [_own(x) for x in tensors]), options)

    def extra_repr(self) -> str:
        return f"{type(self.module).__name__}, gradients by autograd"

    def _checked(self, inputs: tuple[Any, ...]) -> tuple[list[Tensor], Any]:
        if is_compiling():
            raise AutogradError(
                "FromTorch: the step must be computed as it is written, since gradients by autograd cannot be traced, "
                "got torch.compile; use the eager engine"
            )
        tensors, nesting = taken_apart(inputs)
        for x in tensors:
            require_input(self, x)
        return tensors, nesting

    def _call(self, inputs: Any, options: dict[str, Any]) -> Any:
        """The module's output, with the values, buffers and mode that this layer has now."""
        if self._mode is not self.training:
            self._mode = self.training
            self.module.train(self.training)
        self._put_parameters()
        buffers = list(self._buffers_now())
        for owner, name, held in buffers:
            owner._buffers[name] = held.value
        self._move_the_rest()
        output = self.module(*inputs, **mapped(options, _plain))
        for owner, name, held in buffers:
            now = owner._buffers[name]
            if now is not None and now is not held.value:
                held.value = now.detach()
        return output

    def _move_the_rest(self) -> None:
        """Bring buffers that a state dict has not, such as a table of positions, to where the others are."""
        device = next((one.value.device for one in vars(self).values() if isinstance(one, Parameter | Buffer)), None)
        for owner in self.module.modules() if device is not None else ():
            for name in owner._non_persistent_buffers_set:
                buffer = owner._buffers.get(name)
                if buffer is not None and buffer.device != device:
                    owner._buffers[name] = buffer.to(device)

    def _put_parameters(self) -> None:
        """Let the module have the values and the flags of the parameters here."""
        instead: dict[int, nn.Parameter] = {}
        for path, owner in self.module.named_modules():
            for name, parameter in owner._parameters.items():
                held = vars(self).get(f"{path}.{name}" if path else name)
                if parameter is None or held is None:
                    continue
                now = instead.setdefault(id(held), _with_value(parameter, held.value))
                owner._parameters[name] = now
                if now.requires_grad is not held.trainable and now.is_floating_point():
                    now.requires_grad_(held.trainable)

    def _parameters_now(self) -> Iterator[tuple[Parameter, nn.Parameter]]:
        return ((vars(self)[name], parameter) for name, parameter in self.module.named_parameters())

    def _buffers_now(self) -> Iterator[tuple[nn.Module, str, Buffer]]:
        for path, owner in self.module.named_modules():
            for name in owner._buffers:
                held = vars(self).get(f"{path}.{name}" if path else name)
                if isinstance(held, Buffer):
                    yield owner, name, held

    def _upstream(self, d_output: Any, saved: Graph) -> Iterator[tuple[Tensor, Tensor]]:
        """The outputs that have a gradient, with theirs."""
        if isinstance(saved.outputs, Place) and d_output is None:
            require_upstream(self, d_output, saved.tensors[0].shape)
        given = at_places(saved.outputs, d_output, len(saved.tensors))
        for y, d_y in zip(saved.tensors, given, strict=True):
            if d_y is not None and (y.is_floating_point() or y.is_complex()):
                require_upstream(self, d_y, y.shape)
                require_dtype(self, d_y, y.dtype, "d_y", "output")
                if y.requires_grad:
                    yield y, d_y


class FromTorchLoss(FromTorch, Loss):
    """A loss of PyTorch that mytorch has none for: FromTorch, with the gradient of the prediction alone.

    Forward:   value = module(prediction, target), recorded by autograd
    Backward:  d_prediction by torch.autograd.grad
    Raises:    as FromTorch

    Means over batches count each row as much as any other, as `weight_of` says; a loss that ignores targets or weighs
    them needs a subclass that says otherwise.

    Example:
        >>> import torch
        >>> from mytorch.train.interop import FromTorchLoss
        >>> class Quartic(torch.nn.Module):
        ...     def forward(self, prediction, target):
        ...         return (prediction - target).pow(4).mean()
        >>> loss = FromTorchLoss(Quartic())
        >>> value, saved = loss.forward(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
        >>> value, loss.backward(1.0, saved)
        (tensor(8.), tensor([ 0., 16.]))
    """

    def backward(self, d_value: float | Tensor, saved: Graph) -> Any:
        if isinstance(saved, Graph):
            value = saved.tensors[0]
            require_d_value(self, d_value, value.shape, value)
            d_value = torch.as_tensor(d_value, dtype=value.dtype, device=value.device).expand_as(value)
        return super().backward(d_value, saved)[0]


def _with_value(parameter: nn.Parameter, value: Tensor) -> nn.Parameter:
    """A parameter in the memory of a value: the same one, where PyTorch can move it there."""
    if parameter.data_ptr() != value.data_ptr() or (parameter.dtype, parameter.device) != (value.dtype, value.device):
        try:
            parameter.data = value
        except RuntimeError:  # such as one on the meta device
            return nn.Parameter(value, parameter.requires_grad)
    return parameter


def require_torch_module(owner: str, module: object) -> None:
    """Raise ArgumentError for what is no torch.nn.Module, or has lazy parameters without a value."""
    if not isinstance(module, nn.Module):
        raise ArgumentError(f"{owner}: module must be a torch.nn.Module, got {kind_of(module)}")
    lazy = [
        name
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if isinstance(tensor, UninitializedTensorMixin)
    ]
    if lazy:
        raise ArgumentError(
            f"{owner}: every parameter must have its shape, got lazy ones without: {', '.join(lazy)}; run one batch "
            "through the module first"
        )


def _leaf(x: Tensor, wanted: bool) -> Tensor:
    """A tensor from which autograd records."""
    leaf = x.clone() if x.is_inference() else x.detach()
    return leaf.requires_grad_(wanted and (leaf.is_floating_point() or leaf.is_complex()))


def _own(x: Tensor) -> Tensor:
    """An input that the module may write into, since the caller's stays as it is."""
    return x.clone() if x.is_floating_point() else x


def _plain(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) and leaf.is_inference() else leaf


def _fresh(found: Sequence[Tensor | None], given: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients in memory that nothing else holds."""
    taken = {each.untyped_storage().data_ptr() for each in given}
    fresh: list[Tensor | None] = []
    for gradient in found:
        if gradient is not None and (gradient.untyped_storage().data_ptr() in taken or 0 in gradient.stride()):
            gradient = gradient.clone(memory_format=torch.contiguous_format)
        if gradient is not None:
            taken.add(gradient.untyped_storage().data_ptr())
        fresh.append(gradient)
    return fresh
