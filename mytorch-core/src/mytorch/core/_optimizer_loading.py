"""What an optimizer takes over from a state dict, and every reason not to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mytorch.core.errors import ArgumentError, StateError
from mytorch.core.optimizer_state import Entries, State, misfits
from mytorch.core.parameter import Parameter
from mytorch.core.parameter_groups import Group, described, loadable_settings, missing_settings
from mytorch.plugins import shown


@dataclass(frozen=True)
class Loading:
    """A state dict is checked against an optimizer: its classes' names, groups, default settings and state entries."""

    names: tuple[str, ...]
    """The optimizer's own class, and those from which it derives."""
    groups: list[Group]
    defaults: Group
    entries: Entries
    check_settings: Callable[[Group], None]
    wrong: list[str] = field(default_factory=list)
    """Every difference that was found."""

    def read(self, state: Any) -> tuple[list[Group], dict[Parameter, State]]:
        """The settings of each group and the state of each parameter. Raises StateError with every difference."""
        name = self.names[0]
        groups, held = _parts(name, state)
        sizes, given = [len(g["params"]) for g in self.groups], [len(g["params"]) for g in groups]
        if sizes != given:
            raise StateError(f"{name}: state must be for groups of {sizes} parameters, got {given}")
        both = list(zip(self.groups, groups, strict=True))
        self.wrong.extend(self._other_type(state))
        settings = [self._settings(number, own, saved) for number, (own, saved) in enumerate(both)]
        keys = {key: p for own, saved in both for key, p in zip(saved["params"], own["params"], strict=True)}
        states = self._states(held, keys, of_torch="type" not in state)
        if self.wrong:
            raise StateError(f"{name}: state must be that of {name} for these parameters; {'; '.join(self.wrong)}")
        return settings, states

    def _other_type(self, state: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with a state that names another class, though it may have the same entries."""
        kind = state.get("type", self.names[0])
        if not (isinstance(kind, str) and kind in self.names):
            yield (
                f"its type must be {self.names[0]!r}, got {shown(kind)}; where both keep the same, "
                "{'state': state['state'], 'param_groups': optimizer.state_dict()['param_groups']} is taken, with the "
                "settings of this one"
            )

    def _states(self, held: Mapping[Any, Any], keys: dict[Any, Parameter], of_torch: bool) -> dict[Parameter, State]:
        """The state of each parameter; one of torch's as torch would load it."""
        states: dict[Parameter, State] = {}
        found: dict[str, list[str]] = {}  # the parameters of each difference
        for key, entries in held.items():
            if key not in keys or not isinstance(entries, Mapping):
                got = f"{type(entries).__name__} for {key!r}"
                self.wrong.append(f"state must have a dict for each parameter, got {got}")
                continue
            kept = {name: value for name, value in entries.items() if value is not None}
            for difference in misfits(kept, self.entries, keys[key].value):
                found.setdefault(difference, []).append(described(self.groups, keys[key]))
            if kept:
                states[keys[key]] = self._widened(kept, keys[key].value) if of_torch else kept
        self.wrong.extend(f"{difference} ({', '.join(where)})" for difference, where in found.items())
        return states

    def _widened(self, kept: State, value: Tensor) -> State:
        """Single numbers as wide as the value, except the count of steps: torch loads them so and continues so."""
        if value.dtype is not torch.float64:
            return kept
        wide = {name for name in kept if self.entries.get(name) == "number" and name != "step"}
        return {
            name: entry.double() if name in wide and isinstance(entry, Tensor) else entry
            for name, entry in kept.items()
        }

    def _settings(self, number: int, own: Group, saved: Mapping[str, Any]) -> Group:
        """The settings of one group."""
        name, group = self.names[0], f"group {number}"
        taken, refused = loadable_settings(saved, self.defaults)
        self.wrong.extend(f"{group} has a setting {setting!r} that {name} has not" for setting in refused)
        missing = missing_settings(saved, self.defaults)
        self.wrong.extend(f"{group} must have the setting {setting!r}" for setting in missing)
        names, others = own.get("param_names"), saved.get("param_names")
        if names is not None and others is not None and list(names) != list(others):
            mine, other = next(pair for pair in zip(names, others, strict=False) if pair[0] != pair[1])
            self.wrong.append(f"{group} must have its parameters in the same order, got {shown(other)} for {mine!r}")
        try:
            self.check_settings({**own, **taken})
        except (ArgumentError, TypeError) as error:
            self.wrong.append(f"{group}: {error}")
        return taken


def _parts(owner: str, state: Any) -> tuple[list[Mapping[str, Any]], Mapping[Any, Any]]:
    """Groups and state of a state dict. Raises StateError if it is none."""
    if not isinstance(state, Mapping) or not {"state", "param_groups"} <= state.keys():
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise StateError(f"{owner}: state must be a dict with the keys 'state' and 'param_groups', got {found}")
    groups, held = state["param_groups"], state["state"]
    whole = isinstance(groups, (list, tuple)) and all(map(_is_group, groups))
    if not whole or not isinstance(held, Mapping):
        raise StateError(
            f"{owner}: state must be a dict of dicts and a list of groups with 'params', got something else"
        )
    return list(groups), held


def _is_group(saved: Any) -> bool:
    return isinstance(saved, Mapping) and isinstance(saved.get("params"), (list, tuple))
