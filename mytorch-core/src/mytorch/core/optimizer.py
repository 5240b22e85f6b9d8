"""The contract of optimizers: parameter groups, state, and one formula a subclass writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import is_
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core.errors import ArgumentError, StateError
from mytorch.core.parameter import Parameter

Group = dict[str, Any]
_LEFT_OUT = {"params", "foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay"}
"""What a group of torch's has and ours does not."""


def persistent(value: Tensor) -> Tensor:
    """A copy that may be kept and written into after inference mode ends, as optimizer state must be."""
    if torch.compiler.is_compiling():
        return value.clone()
    with torch.inference_mode(False), torch.no_grad():
        return value.clone()


def _copied(value: Any) -> Any:
    return persistent(value) if isinstance(value, Tensor) else value


class Optimizer:
    """Changes parameters by their gradients.

    A subclass passes its settings' defaults to this constructor and writes `update`. Settings are read from the
    group at every step, so a schedule may change them; a setting may be a 0-dim tensor.

    params: parameters, or dicts with "params" and the settings of that group.
    """

    mixes_parameters: ClassVar[bool] = False
    """Whether a parameter's update depends on others, as with a norm over all gradients, one count of steps for all or
    draws in their order. A subclass of which this is true says so, and `step_only` refuses."""

    def __init__(self, params: Iterable[Parameter] | Iterable[Group], defaults: Group) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[Parameter, dict[str, Any]] = defaultdict(dict)
        self._values: dict[int, list[Tensor]] = {}  # of each group at the last step
        listed: list[Any] = [params] if isinstance(params, dict | Parameter) else list(params)
        if not listed:
            raise ArgumentError(f"{self._name}: params must hold at least one Parameter, got none")
        if any(isinstance(entry, dict) for entry in listed):
            for group in listed:
                self.add_param_group(group)
        else:
            self.add_param_group({"params": listed})

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: Group) -> None:
        """Add parameters with settings of their own; settings left out take the defaults."""
        if not isinstance(group, dict) or "params" not in group:
            raise ArgumentError(f"{self._name}: a parameter group must be a dict with the key 'params', got {group!r}")
        params = [group["params"]] if isinstance(group["params"], Parameter) else list(group["params"])
        for parameter in params:
            if not isinstance(parameter, Parameter):
                raise ArgumentError(
                    f"{self._name}: params must hold mytorch Parameters, got {type(parameter).__name__}; "
                    "pass net.param()"
                )
        known = {id(parameter) for other in self.param_groups for parameter in other["params"]}
        if len({id(parameter) for parameter in params} | known) < len(params) + len(known):
            raise ArgumentError(f"{self._name}: params must name each Parameter once, got one in two places")
        settings = {"params": params} | {name: group.get(name, value) for name, value in self.defaults.items()}
        self.check_settings(settings)
        self.param_groups.append({**group, **settings})

    def check_settings(self, group: Group) -> None:
        """Raise ArgumentError for a setting outside its range; a subclass overrides this."""

    def step(self) -> None:
        """Update every trainable parameter that has a gradient."""
        for group in self.param_groups:
            active = [p for p in group["params"] if p.grad is not None and p.trainable]
            if active:
                values, seen = [p.value for p in active], self._values.get(id(group), ())
                if len(values) != len(seen) or not all(map(is_, values, seen)):
                    self._values[id(group)] = values
                    self._follow(active)
                self.update(active, group)

    def step_only(self, parameters: Iterable[Parameter]) -> None:
        """Update those of `parameters` that `step` would update, and no others: the same for each as in a whole step.

        Raises ArgumentError for an optimizer that must see all of them at once, StateError for one that sets settings.
        """
        self.require_steps_apart()
        chosen = set(parameters)
        for group in self.param_groups:
            active = [p for p in group["params"] if p in chosen and p.grad is not None and p.trainable]
            if active:
                part = {**group, "params": active}  # `values_of` is asked for the group that `update` is given
                self._values[id(part)] = [p.value for p in active]
                try:
                    self._follow(active)
                    self.update(active, part)
                finally:
                    del self._values[id(part)]
                self._require_same_settings(part, group)

    def require_steps_apart(self) -> None:
        """Raise ArgumentError unless some parameters may be updated before others, as `step_only` does.

        Not if it `mixes_parameters`, nor if a subclass wrote a `step` of its own, which may do more than `update`.
        """
        if self.mixes_parameters or type(self).step is not Optimizer.step:
            raise ArgumentError(
                f"{self._name}: parameters must be updated all at once, got some of them: "
                + ("it mixes parameters" if self.mixes_parameters else "it has a step of its own")
            )

    def _require_same_settings(self, part: Group, group: Group) -> None:
        written = part.keys() ^ group.keys() or {name for name in group if part[name] is not group[name]} - {"params"}
        if written:
            raise StateError(
                f"{self._name}: update must leave settings as they are while some parameters are updated alone, got "
                f"another {min(written)!r}; keep what changes in the state, or set mixes_parameters = True"
            )

    def values_of(self, group: Group) -> list[Tensor]:
        """The values of the parameters that `update` is given, as one list for torch's list-wise kernels."""
        return self._values[id(group)]

    def update(self, parameters: list[Parameter], group: Group) -> None:
        """The formula: change the values of `parameters` in place, by their gradients and the group's settings.

        Settings are read and not written: the group may be a copy, and what changes by itself belongs into the state.
        """
        raise NotImplementedError(f"{self._name}: update must be defined")

    def _follow(self, parameters: list[Parameter]) -> None:
        """Convert state where a value has moved to another dtype or device; called when values are new.

        Raises ShapeError for a gradient that has the shape of the value before.
        Floating tensors of the value's shape follow, as momentum does. Counts do not: integers, and "step", torch's
        name, which a parameter without axes has the shape of.
        """
        for parameter in parameters:
            state, value = self.state[parameter], parameter.value
            if parameter.grad is not None:
                parameter.require_shape(parameter.grad)
            for name, held in state.items():
                if name == "step" or not isinstance(held, Tensor) or held.shape != value.shape:
                    continue
                if not (held.is_floating_point() or held.is_complex()):
                    continue
                if held.dtype is not value.dtype or held.device != value.device:
                    state[name] = persistent(held.to(device=value.device, dtype=value.dtype))

    def zero_grad(self) -> None:
        """Set every gradient to None."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """State and settings in torch's format: parameters are numbered in the order of the groups."""
        numbers: dict[Parameter, int] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers[parameter] = len(numbers)
        return {
            "state": {numbers[parameter]: dict(held) for parameter, held in self.state.items() if held},
            "param_groups": [
                {**group, "params": [numbers[parameter] for parameter in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over state and settings, also those of a torch optimizer of the same kind.

        Raises StateError if the groups do not have the same numbers of parameters.
        """
        sizes = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in state["param_groups"]]
        if sizes != given:
            raise StateError(f"{self._name}: state must be for groups of {sizes} parameters, got {given}")
        parameters: dict[int, Parameter] = {}
        for group, saved in zip(self.param_groups, state["param_groups"], strict=True):
            parameters.update(zip(saved["params"], group["params"], strict=True))
            group.update({name: _copied(value) for name, value in saved.items() if name not in _LEFT_OUT})
        self.state.clear()
        self._values.clear()
        for number, held in state["state"].items():
            self.state[parameters[number]] = {name: _copied(value) for name, value in held.items()}

    def __repr__(self) -> str:
        groups = [{k: v for k, v in group.items() if k != "params"} for group in self.param_groups]
        settings = "; ".join(", ".join(f"{k}={v!r}" for k, v in group.items()) for group in groups)
        return f"{self._name}({settings})"
