"""Beginning with the weights of another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Buffer, Module, Parameter, StateError, require_kind
from mytorch.core.patterns import matches
from mytorch.plugins import listed, nearest, shown
from mytorch.train.errors import RunError
from mytorch.train.weights import WEIGHTS_FILE, read_state

Patterns = str | Sequence[str]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class WarmStart:
    """What a model took over from another; each field has the shapes of tensors by their names.

    taken: what the model has from the source.
    new: what the model has and did not take.
    left: what the source has and the model did not take.
    frozen: parameters that will not be trained.
    """

    taken: dict[str, Shape]
    new: dict[str, Shape]
    left: dict[str, Shape]
    frozen: dict[str, Shape]


def warm_start(
    net: Module,
    source: str | Path | Mapping[str, Tensor],
    *,
    take: Patterns = "*",
    leave: Patterns = (),
    freeze: Patterns = (),
) -> WarmStart:
    """Load, in place, the weights and buffers of another model that have the same names.

    source: the folder of a run or of `save_model`; a safetensors file with torch's names; or a state dict.
    take, leave: patterns of names, such as "features.*": tensors that both models have are taken if their names match
        `take` and no pattern of `leave`. In this way a last layer for another number of classes is left out.
    freeze: patterns of names of parameters that are not to be trained: their `trainable` becomes False. Buffers, such
        as the running statistics of batch normalisation, still change in training mode.
    Raises StateError for tensors of another shape or kind, with nothing changed, and if nothing would be taken;
        ArgumentError for a pattern that matches nothing and if nothing is left to train; RunError for a file that is
        missing or damaged.

    Example:
        >>> from mytorch.nn import Linear, ReLU, Sequential
        >>> from mytorch.train import warm_start
        >>> old = Sequential(Linear(2, 8), ReLU(), Linear(8, 3))
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 5))
        >>> start = warm_start(net, old.state_dict(), leave="2.*", freeze="0.*")
        >>> list(start.taken), list(start.new), list(start.frozen)
        (['0.weight', '0.bias'], ['2.weight', '2.bias'], ['0.weight', '0.bias'])
    """
    require_kind("warm_start", "net", net, Module)
    patterns = {"take": _listed("take", take), "leave": _listed("leave", leave), "freeze": _listed("freeze", freeze)}
    state = _state_of(source)
    held = dict(net.named_state())
    for name, given in patterns.items():
        _require_matches(name, given, [*held, *state] if name != "freeze" else [*held])
    wanted = {name for name in held if matches(name, patterns["take"]) and not matches(name, patterns["leave"])}
    taken = {name: state[name] for name in held if name in wanted and name in state}
    _require_fit(held, taken, state)
    frozen = [name for name, one in held.items() if isinstance(one, Parameter) and matches(name, patterns["freeze"])]
    _require_training(held, frozen)
    for name, value in taken.items():
        held[name].value.copy_(value)
    reached = {id(held[name]) for name in taken}  # a tied parameter may stand in the source under one of its names
    for name in frozen:
        held[name].trainable = False  # type: ignore[union-attr]  # parameters alone are frozen
    return WarmStart(
        taken=_shapes(taken),
        new=_shapes({name: one.value for name, one in held.items() if id(one) not in reached}),
        left=_shapes({name: value for name, value in state.items() if name not in taken}),
        frozen=_shapes({name: held[name].value for name in frozen}),
    )


def _state_of(source: str | Path | Mapping[str, Tensor]) -> dict[str, Tensor]:
    if isinstance(source, Mapping):
        for name, value in source.items():
            if not isinstance(name, str):
                raise StateError(f"warm_start: names in the source must be text, got {shown(name)}")
            if not isinstance(value, Tensor):
                raise StateError(f"warm_start: {name} must be a tensor, got {type(value).__name__}")
            if value.layout is not torch.strided or value.is_meta:
                kind = "one without numbers, on the meta device" if value.is_meta else f"one of {value.layout}"
                raise StateError(f"warm_start: {name} must be a tensor that holds all of its numbers, got {kind}")
        return dict(source)
    if not isinstance(source, str | Path):
        raise ArgumentError(f"warm_start: source must be a path or a state dict, got {type(source).__name__}")
    path = Path(source)
    if not path.exists():
        raise RunError(f"{path}: must be the folder of a run or a safetensors file, got nothing there")
    return read_state(path / WEIGHTS_FILE if path.is_dir() else path)


def _listed(name: str, patterns: Patterns) -> tuple[str, ...]:
    if isinstance(patterns, str):
        return (patterns,)
    if not isinstance(patterns, Sequence) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ArgumentError(f"warm_start: {name} must be patterns of names, got {shown(patterns)}")
    return tuple(patterns)


def _require_matches(argument: str, patterns: Sequence[str], names: Sequence[str]) -> None:
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            raise ArgumentError(
                f"warm_start: {argument} must match names of weights, got {shown(pattern)}, which matches none. "
                f"{nearest(pattern, names)}"
            )


def _require_fit(
    held: Mapping[str, Parameter | Buffer], taken: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> None:
    """Raise StateError, before anything is copied, for what does not fit, and if there is nothing to take."""
    wrong = []
    for name, value in taken.items():
        own = held[name].value
        if value.shape != own.shape:
            wrong.append(f"{name} must be {tuple(own.shape)}, got {tuple(value.shape)}")
        elif value.is_floating_point() != own.is_floating_point():
            wrong.append(f"{name} must be of {own.dtype}, got {value.dtype}")
    if wrong:
        raise StateError(f"warm_start: {'; '.join(wrong)}; leave them out with leave = [...]")
    if not taken:
        raise StateError(
            f"warm_start: the source must have weights that the model takes, got {listed(state, 3) or 'none'} "
            f"for {listed(held, 3)}; rename them, or build the model that they are of"
        )


def _require_training(held: Mapping[str, Parameter | Buffer], frozen: Sequence[str]) -> None:
    parameters = [name for name, one in held.items() if isinstance(one, Parameter) and one.trainable]
    if frozen and not set(parameters) - set(frozen):
        raise ArgumentError("warm_start: freeze must leave parameters to train, got patterns that match all of them")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    return {name: tuple(value.shape) for name, value in tensors.items()}
