"""Loading a state dict, with every difference in one error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import tree
from mytorch.core.checks import kind_of
from mytorch.core.errors import StateError
from mytorch.core.parameter import Buffer, Parameter

State = dict[str, Parameter | Buffer]
WRAPPED = "module."
"""What DataParallel and DistributedDataParallel put before every name."""


class LoadedKeys(NamedTuple):
    """What `load_state_dict` found; the fields are named as those of torch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_state(net: Any, state: Any, strict: bool) -> LoadedKeys:
    """Copy a state dict into the parameters and buffers of a module; see Module.load_state_dict."""
    owner = type(net).__name__
    if not isinstance(state, Mapping):
        raise StateError(
            f"{owner}: state must be a mapping from names to tensors, got {kind_of(state)}; pass what state_dict() "
            "returned"
        )
    fitted = _fitted(net, state)
    present = _present(net, fitted)
    shared = {name: held for name, held in present.items() if name in state}
    filled = {id(held) for held in shared.values()}
    missing = [name for name, held in present.items() if id(held) not in filled]
    unexpected = [str(name) for name in state if name not in present]
    problems = [problem for name, held in shared.items() for problem in _misfits(name, held, state[name])]
    if strict:
        problems += _list("missing", missing) + _list("unexpected", unexpected) + _wrapped(present, state)
    if problems:
        raise StateError(f"{owner}: state must fit the module; {'; '.join(problems)}")
    with torch.no_grad():
        for name, held in shared.items():
            held.value.copy_(state[name])
    for lazy, layer in fitted.items():
        lazy.take_over(layer)
    return LoadedKeys(missing, unexpected)


def _fitted(net: Any, state: Mapping[Any, Any]) -> dict[Any, Any]:
    """For each lazy module of a net that a state dict tells the sizes of, what it becomes. The net does not change."""
    arrived = {id(held): state[name] for name, held in net.named_state() if isinstance(state.get(name), Tensor)}
    fitted: dict[Any, Any] = {}
    for module in net.modules():
        own = [(name, held) for kind in (Parameter, Buffer) for name, held in tree.own(module, kind)]
        given = {name: arrived[id(held)] for name, held in own if not held.initialized and id(held) in arrived}
        if given and hasattr(module, "fitted_to") and (layer := module.fitted_to(given)) is not None:
            fitted[module] = layer
    return fitted


def _present(net: Any, fitted: Mapping[Any, Any]) -> State:
    """Every parameter and buffer under each of its names, as they are once lazy modules have become what fits."""
    instead: dict[int, Parameter | Buffer] = {}
    for lazy, layer in fitted.items():
        theirs = vars(layer)
        for kind in (Parameter, Buffer):
            for name, held in tree.own(lazy, kind):
                if not held.initialized:
                    instead.setdefault(id(held), theirs[name])
    return {name: instead.get(id(held), held) for name, held in net.named_state()}


def _misfits(name: str, held: Parameter | Buffer, given: object) -> list[str]:
    if not isinstance(given, Tensor):
        return [f"{name} must be a tensor, got {kind_of(given)}"]
    if not held.initialized:
        return [f"{name} must come with tensors that tell the sizes of its lazy layer, got {tuple(given.shape)}"]
    value = held.value
    if given.shape != value.shape:
        return [f"{name} must have shape {tuple(value.shape)}, got {tuple(given.shape)}"]
    if given.layout is not torch.strided:
        return [f"{name} must be dense, got {given.layout}; convert with .to_dense()"]
    if given.is_quantized:
        return [f"{name} must not be quantized, got {given.dtype}; convert with .dequantize()"]
    if given.is_complex() and not value.is_complex():
        return [f"{name} must be real, got {given.dtype}"]  # a copy would drop the imaginary part
    if given.is_meta and not value.is_meta:
        return [f"{name} must hold numbers, got a tensor on the meta device"]
    if value.is_meta and not given.is_meta:
        return [f"{name} must be on a device that keeps numbers, got a module on the meta device"]
    return []


def _list(what: str, names: Sequence[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _wrapped(present: State, state: Mapping[Any, Any]) -> list[str]:
    """A hint, if all names would fit without what a wrapper put before them."""
    names = [str(name) for name in state]
    if not names or not all(name.startswith(WRAPPED) and name.removeprefix(WRAPPED) in present for name in names):
        return []
    return [
        f"each name starts with {WRAPPED!r}, as DataParallel writes them: load "
        f"{{name.removeprefix({WRAPPED!r}): value for name, value in state.items()}}"
    ]
