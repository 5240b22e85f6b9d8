"""The contract of every layer, container and loss."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mytorch.core import tree
from mytorch.core.checks import require_device, require_pair
from mytorch.core.construction import holds_remembered, is_complete, recall, remember
from mytorch.core.detail import Detail
from mytorch.core.errors import ArgumentError, DescriptionError
from mytorch.core.parameter import Buffer, Parameter
from mytorch.core.sample_gradients import SampleGradients
from mytorch.core.state import LoadedKeys, load_state
from mytorch.core.tangents import Directions
from mytorch.core.uninitialized import require_initialized

PLAIN = (int, float, str, tuple)
"""Types whose values are compared with a default; others, such as tensors, need not say whether they are equal."""


def _name_constructor(cls: type[Module]) -> None:
    """Give a class the constructor of its private base under its own name, by which Python refuses arguments."""
    init = cls.__init__
    if not isinstance(init, FunctionType) or "__init__" in vars(cls):
        return
    if init.__qualname__.startswith("_") or init.__module__.rpartition(".")[2].startswith("_"):
        own = FunctionType(init.__code__, init.__globals__, init.__name__, init.__defaults__, init.__closure__)
        own.__kwdefaults__, own.__annotations__ = init.__kwdefaults__, init.__annotations__
        own.__doc__, own.__qualname__ = init.__doc__, f"{cls.__qualname__}.__init__"
        cls.__init__ = own  # type: ignore[method-assign]


class Module(tree.Node):
    """A function of tensors that states its own derivative.

    A subclass writes two methods (and `__init__` if it has anything to set; the base needs no call):

        output, saved = module.forward(*inputs)      # saved: whatever backward needs, and nothing kept on self
        d_input = module.backward(d_output, saved)   # adds to the gradients of its parameters

    `d_output` has the structure of `output` (None for an output that was not used); `d_input` has one entry per
    positional input that was passed, bare if there is one, None for integers, masks and absent ones: a layer with an
    optional input returns as many entries as its forward was given. A tensor that is passed in several places gets
    its gradient at each; whoever passed it adds them. Masks and flags are keyword arguments. A saved value is good
    for one backward. Inputs, upstream gradients and saved values are never written into. Gradients are sums over the
    batch.
    """

    training: bool = True
    states_columns: ClassVar[bool] = False
    """Whether `sample_gradients` also takes several upstream gradients of each sample, in turn along `axis`, with the
    saved value of the samples. It then states the gradients of each, by OuterProducts with rows of the samples once,
    or by another form with an entry for each; so what it makes of the saved value is computed once for all."""
    _module_arguments: tuple[list[Any], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        module = super().__new__(cls)
        module._module_arguments = [remember(value) for value in args], {k: remember(v) for k, v in kwargs.items()}
        return module

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _name_constructor(cls)
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

    # What it shows of itself

    def forward_details(self, inputs: Mapping[str, Any], output: Any, saved: Any) -> Iterable[Detail]:  # noqa: ARG002
        """What `explain` shows of a forward beside its inputs, parameters and output; nothing by default.

        inputs: what forward was called with, by name; output, saved: what it returned. Nothing may be changed.
        """
        return ()

    def backward_details(self, d_output: Any, saved: Any) -> Iterable[Detail]:  # noqa: ARG002
        """The same of a backward, asked before it runs, since it may empty `saved`; no gradient may be accumulated."""
        return ()

    def sample_gradients(self, d_output: Any, saved: Any, axis: int) -> Mapping[str, SampleGradients] | None:  # noqa: ARG002
        """Of each of its own trained parameters, by name, the gradient of every sample: what `backward` adds up.

        A layer that states them states the derivative in the form before the sum over the batch. It is asked only by
        who needs more than the sum, and before the backward, since that may empty `saved`; nothing may be changed.
        axis: which axis of the output holds the samples. Where `states_columns` is set, `d_output` may have several
            entries in turn for each of those of `saved`.
        None, as here, leaves it to the caller to run one backward for each sample.
        """
        return None

    # How its output and its backward change

    def tangent(self, t_input: Any, saved: Any, along: Directions, /) -> tuple[Any, Any]:
        """How the output changes while the inputs move along t_input, and each parameter along `along[parameter]`.

            t_output, t_saved = module.tangent(t_input, saved, along)

        `t_name` is the derivative of `name` in that direction, as `d_name` is the gradient (the R-operator of
        Pearlmutter 1994, "Fast exact multiplication by the Hessian").

        t_input: in the structure of d_input, a tensor for whatever moves, else None: for integers, masks, and the data
            where only parameters move. It is None where `input_grad` is False. A loss is given a tensor for each
            floating-point prediction.
        saved: what forward returned; it is read, and neither emptied nor written into.
        Returns t_output in the structure of the output, None for what does not move, and what `backward_tangent` will
        need.
        """
        raise NotImplementedError(f"{type(self).__name__}: tangent must be defined")

    def backward_tangent(
        self, d_output: Any, t_d_output: Any, saved: Any, t_saved: Any, along: Directions, /
    ) -> tuple[Any, Any]:
        """The backward and how it changes in that direction, where d_output changes by t_d_output.

            d_input, t_d_input = module.backward_tangent(d_output, t_d_output, saved, t_saved, along)

        It adds the change of each parameter's gradient to the gradient, by `accumulate`, and not the gradient itself.
        t_d_output has a tensor wherever d_output has one; so has t_d_input for d_input. saved and t_saved are read.
        """
        raise NotImplementedError(f"{type(self).__name__}: backward_tangent must be defined")

    # What the module holds

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names. Containers override this to name them as in torch."""
        return tree.children_in_attributes(self)

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        return (child for _, child in tree.once(self.named_children()))

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module as "" and everything below it, each once."""
        return tree.walk_once(self)

    def modules(self) -> Iterator[Module]:
        """This module and everything below it, each once."""
        return (module for _, module in self.named_modules())

    def named_param(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, own ones first, then the children's, as torch orders them."""
        return tree.named_once(self, Parameter)

    def param(self) -> list[Parameter]:
        """Every parameter once."""
        return [parameter for _, parameter in self.named_param()]

    def named_buffer(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer once."""
        return tree.named_once(self, Buffer)

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """`named_param` under torch's name; with `recurse=False` only this module's own."""
        return self._named(Parameter, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once, as torch's method of this name: an iterator, where `param` is a list."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Buffer]]:
        """`named_buffer` under torch's name; with `recurse=False` only this module's own."""
        return self._named(Buffer, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """Every buffer once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, kind: type[Any], prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        named = tree.named_once(self, kind) if recurse else tree.once(tree.own(self, kind))
        return ((f"{prefix}.{name}" if prefix else name, held) for name, held in named)

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with every module below, then with this one, each once; as torch does, return self."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether the parameters are trained: sets `trainable` of each. The name is torch's."""
        for parameter in self.param():
            parameter.trainable = requires_grad
        return self

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
        if isinstance(device, str):
            device = require_device(self, device)
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentError(f"{type(self).__name__}: dtype must be floating point, got {dtype}")

        def moved(value: Tensor) -> Tensor:
            return value.to(device=device, dtype=dtype if value.is_floating_point() else None)

        with torch.inference_mode(False), torch.no_grad():
            for parameter in self.param():
                parameter.convert(moved)
                if parameter.grad is not None:
                    parameter.grad = moved(parameter.grad)
            for _, buffer in self.named_buffer():
                buffer.convert(moved)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Name and tensor of every parameter and buffer, under torch's names; a tied one under every name.

        The tensors share memory with the module's. Raises UninitializedError if a lazy layer has no weights yet.
        """
        require_initialized(type(self).__name__, self.named_state())
        return {name: held.value for name, held in self.named_state()}

    def named_state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        """Every parameter and buffer under every one of its names, in torch's order."""
        return tree.named_uses(self, Parameter, Buffer)

    def load_state_dict(self, state: Mapping[str, Tensor], strict: bool = True) -> LoadedKeys:
        """Copy values into the parameters and buffers, in place. Returns missing_keys and unexpected_keys, as torch.

        With `strict`, every name must fit; a tied tensor may come under any of its names. What comes must fit in
        shape and kind either way. A lazy layer takes its sizes from what comes for it, and stays lazy if nothing does.
        Raises StateError with all differences, before anything is copied.
        """
        return load_state(self, state, strict)

    # torch's names for `to`

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(torch.float32)

    def double(self) -> Self:
        """Convert to float64."""
        return self.to(torch.float64)

    def half(self) -> Self:
        """Convert to float16."""
        return self.to(torch.float16)

    def bfloat16(self) -> Self:
        """Convert to bfloat16."""
        return self.to(torch.bfloat16)

    def cpu(self) -> Self:
        """Move to the CPU."""
        return self.to("cpu")

    def cuda(self, device: torch.device | int | None = None) -> Self:
        """Move to the current GPU, or to the one given."""
        return self.to(torch.device("cuda", device) if isinstance(device, int) else device or "cuda")

    # Leaving out the gradient of the data

    input_grad: bool = True
    """Whether backward returns the gradient of the input. Set False on the outermost module to save the work.

    It is passed on to the children for whose inputs nothing else needs a gradient (`first_children`), if they are
    used once.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "input_grad":  # no property, since every layer reads it at every step
            self._pass_on(value)
        else:
            super().__setattr__(name, value)

    def _pass_on(self, wanted: bool) -> None:
        uses = Counter(id(child) for module in self.modules() for _, child in module.named_children())
        uses[id(self)] = 1
        reached: list[Module] = [self]
        while reached:
            module = reached.pop()
            if uses[id(module)] == 1:
                vars(module)["input_grad"] = wanted
                reached += module.first_children()

    def first_child(self) -> Module | None:
        """The child that receives only this module's input, if there is one; containers override this."""
        return None

    def first_children(self) -> Iterable[Module]:
        """The children whose inputs need no gradient where this module's input needs none.

        That is its first child. A container overrides this that has several which receive only its input, or what
        layers without parameters made of it.
        """
        child = self.first_child()
        return () if child is None else (child,)

    # How it was built

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, defaults included; modules among them as they are now.

        An argument that is a module, or a list or dict of modules, is read from the attribute of the same name, so
        that a replaced child is described and not the one of the day of construction. A child that is kept under
        another name is found as long as it is not replaced; after that, DescriptionError says what to do.
        """
        arguments = self._kept_arguments()
        for name, kept in arguments.items():
            if not holds_remembered(kept):
                continue
            if not hasattr(self, name) and not is_complete(kept):
                raise DescriptionError(
                    f"{type(self).__name__}: argument {name!r} must be an attribute of the same name, since the "
                    f"module that was passed has been replaced; keep it as self.{name}, or override arguments()"
                )
            arguments[name] = getattr(self, name, None) if hasattr(self, name) else recall(kept)
        return arguments

    def _kept_arguments(self) -> dict[str, Any]:
        args, kwargs = self._module_arguments
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        _, *named = bound.arguments.items()
        return dict(named)

    def extra_repr(self) -> str:
        """The arguments that are not at their defaults, without modules."""
        defaults = {
            name: parameter.default for name, parameter in inspect.signature(type(self).__init__).parameters.items()
        }
        return ", ".join(
            f"{name}={value!r}"
            for name, value in self._kept_arguments().items()
            if not holds_remembered(value) and not isinstance(value, Tensor) and value is not defaults[name]
            if not (type(value) in PLAIN and value == defaults[name])
        )

    def __repr__(self) -> str:
        children = [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "\n".join([self.extra_repr(), *children, ""]) if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"
