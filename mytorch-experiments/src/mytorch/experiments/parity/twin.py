"""PyTorch's own model, loss, optimizer and schedule, built from what ours say of themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mytorch.core import Module, Optimizer, Parameter, Schedule, call_with
from mytorch.experiments.errors import ParityError
from mytorch.experiments.file.schedules import HELD, PlannedSchedule
from mytorch.plugins import shown
from mytorch.train.interop.twin_layers import TWIN_LAYERS


def twin_of(net: Module, otherwise: Callable[[Module], nn.Module] | None = None) -> nn.Module:
    """The torch.nn twin of a module, with its weights copied and in its mode.

    A module of mytorch.nn has the torch.nn class of its name, or the one in `TWIN_LAYERS`. Any other must have a
    method `torch_twin()` that returns a torch.nn.Module with the same state dict names. Raises ParityError, with the
    path, if one has neither.

    otherwise: makes the twin of a module that has neither, in place of the error.
    """
    twin = _Builder(otherwise).module("", net)
    _tie(net, twin)
    state = net.state_dict()
    dtypes = [value.dtype for value in state.values() if value.is_floating_point()]
    try:
        twin.to(dtypes[0] if dtypes else None).load_state_dict(state)
    except RuntimeError as error:
        raise ParityError(f"{type(net).__name__}: its twin must have the same state dict, got {error}") from error
    return twin.train(net.training)


class _Builder:
    def __init__(self, otherwise: Callable[[Module], nn.Module] | None) -> None:
        self.built: dict[int, nn.Module] = {}
        self.otherwise = otherwise

    def module(self, path: str, module: Module) -> nn.Module:
        if id(module) not in self.built:
            self.built[id(module)] = self._build(path, module)
        return self.built[id(module)]

    def _build(self, path: str, module: Module) -> nn.Module:
        own_way = getattr(module, "torch_twin", None)
        if own_way is not None:
            twin = own_way()
            if not isinstance(twin, nn.Module):
                raise ParityError(
                    f"{_at(path, module)}: torch_twin() must return a torch.nn.Module, got {shown(twin)}"
                )
            return twin
        name = type(module).__name__
        cls = TWIN_LAYERS.get(name) or getattr(nn, name, None)
        if not type(module).__module__.startswith("mytorch.nn.") or cls is None:
            if self.otherwise is not None:
                return self.otherwise(module)
            raise ParityError(
                f"{_at(path, module)}: must have a torch.nn class of its name or a method torch_twin() that returns a "
                "torch.nn.Module, got neither"
            )
        arguments = {key: self._value(f"{path}.{key}", value) for key, value in module.arguments().items()}
        return _call(cls, {key: value for key, value in arguments.items() if is_told(cls, module, key, value)})

    def _value(self, path: str, value: Any) -> Any:
        if isinstance(value, Module):
            return self.module(path.lstrip("."), value)
        if isinstance(value, list | tuple):
            return [self._value(f"{path}.{index}", entry) for index, entry in enumerate(value)]
        if isinstance(value, dict):
            return {key: self._value(f"{path}.{key}", entry) for key, entry in value.items()}
        return value


def is_told(cls: Callable[..., Any], module: Module, name: str, value: Any) -> bool:
    """Whether a class of torch is told an argument: not of a default that only ours has, or only a newer torch."""
    known = inspect.signature(cls).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    ours = inspect.signature(type(module)).parameters.get(name)
    return name in known or (takes_any and value is not None) or ours is None or value is not ours.default


def _call(cls: Callable[..., Any], arguments: dict[str, Any]) -> nn.Module:
    """Call a torch class with arguments by name; `*layers` of ours is `*args` of torch."""
    variadic = [p.name for p in inspect.signature(cls).parameters.values() if p.kind is p.VAR_POSITIONAL]
    unknown = [name for name in arguments if name not in inspect.signature(cls).parameters]
    if variadic and len(unknown) == 1:
        arguments[variadic[0]] = arguments.pop(unknown[0])
    twin: nn.Module = call_with(cls, arguments)
    return twin


def _at(path: str, module: Module) -> str:
    return f"parity: layer {path!r} ({type(module).__name__})" if path else f"parity: {type(module).__name__}"


def _tie(net: Module, twin: nn.Module) -> None:
    """Share the twin's parameters where the module shares its own."""
    first: dict[int, nn.Parameter] = {}
    for name, held in net.named_state():
        if not isinstance(held, Parameter):
            continue
        owner, _, attribute = name.rpartition(".")
        try:
            holder = twin.get_submodule(owner)
        except AttributeError:
            raise ParityError(f"parity: the twin must have a submodule {owner!r}, got {shown(twin)}") from None
        parameter = getattr(holder, attribute, None)
        if not isinstance(parameter, nn.Parameter):
            raise ParityError(f"parity: the twin must have a parameter {name!r}, got {shown(parameter)}")
        setattr(holder, attribute, first.setdefault(id(held), parameter))
        first[id(held)].requires_grad_(held.trainable)


def twin_optimizer(
    optimizer: Optimizer, schedule: Schedule | None, net: Module, twin: nn.Module, *, fused: bool | None = None
) -> torch.optim.Optimizer:
    """The torch.optim optimizer of the same name, groups and settings, on the twin's parameters.

    schedule: ours, if there is one: the settings are those from before it changed them.
    fused: choose torch's fused or its plain kernels, where the optimizer has both; its own choice if None.
    """
    cls = getattr(torch.optim, type(optimizer).__name__, None)
    if cls is None:
        raise ParityError(f"parity: optimizer must be one that torch.optim has, got {type(optimizer).__name__}")
    partners = dict(twin.named_parameters())
    names = {id(parameter): name for name, parameter in net.named_param()}
    known = inspect.signature(cls).parameters
    started = optimizer.param_groups if schedule is None else schedule.initial
    groups = [
        {key: value for key, value in settings.items() if key in known and key != "params"}
        | {"params": [partners[names[id(parameter)]] for parameter in group["params"]]}
        for group, settings in zip(optimizer.param_groups, started, strict=True)
    ]
    options = {} if fused is None or "fused" not in known else {"fused": fused, "foreach": False}
    defaults = {key: value for key, value in optimizer.defaults.items() if key in known}
    built: torch.optim.Optimizer = cls(groups, **defaults, **options)
    return built


def twin_schedule(planned: PlannedSchedule | None, optimizer: torch.optim.Optimizer) -> Any:
    """The schedule of torch.optim of the same name, with the twins of those that it holds; None without one."""
    if planned is None:
        return None
    name = planned.cls.__name__
    modules = (torch.optim.lr_scheduler, torch.optim.swa_utils)
    cls = next((getattr(module, name) for module in modules if hasattr(module, name)), None)
    if cls is None:
        raise ParityError(f"parity: schedule must be one that torch.optim has, got {name}")
    arguments = {key: value for key, value in planned.arguments.items() if key != "monitor"}  # torch's is handed it
    if planned.held is not None:
        arguments[HELD] = [twin_schedule(piece, optimizer) for piece in planned.held]
    try:
        return cls(optimizer=optimizer, **arguments)
    except (TypeError, ValueError) as error:  # as torch's SequentialLR takes no ReduceLROnPlateau
        raise ParityError(f"parity: schedule must be one that PyTorch takes, too, got {name}: {error}") from error
