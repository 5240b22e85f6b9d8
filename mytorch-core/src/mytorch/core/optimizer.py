"""The contract of optimizers: parameter groups, state, and one formula a subclass writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.compiler import is_compiling

from mytorch.core.checks import kind_of
from mytorch.core.errors import ArgumentError, DtypeError, ShapeError, StateError
from mytorch.core.optimizer_state import (
    SHAPED,
    Entries,
    State,
    copied,
    countable,
    misfit,
    misfits,
    move,
    numbers,
    walkable,
)
from mytorch.core.parameter import Parameter
from mytorch.core.parameter_groups import (
    Group,
    Settings,
    listed,
    loadable_settings,
    missing_settings,
    require_known_settings,
    split_names,
)
from mytorch.plugins import shown

_is_contiguous = Tensor.is_contiguous


class Optimizer:
    """Changes parameters by their gradients.

    A subclass passes its settings' defaults to this constructor, says what it keeps for a parameter (`state_entries`)
    and writes `update`. Settings are read from the group at every step, so a schedule may change them; a setting may
    be a 0-dim tensor.

    params: parameters, pairs of a name and a parameter (`net.named_param()`; errors then name them, and a state of
        other names is refused), or dicts with "params" and the settings of that group.

    Example:
        class Descent(Optimizer):
            def __init__(self, params, lr):
                super().__init__(params, {"lr": lr})

            def update(self, values, grads, states, group):
                for p, g in zip(values, grads):
                    p.sub_(group["lr"] * g)
    """

    mixes_parameters: ClassVar[bool] = False
    """Whether a parameter's update depends on others, as with a norm over all gradients, one count of steps for all or
    draws in their order. A subclass of which this is true says so, and `step_only` refuses."""

    needs_closure: ClassVar[bool] = False
    """Whether `step` must be given a closure, as where a step evaluates the loss several times. In training, such an
    optimizer needs a step of the user's own, `fit(step=...)`."""

    state_entries: ClassVar[Entries] = {}
    """What `update` keeps for a parameter, by name, and of which kind it is: "value" for a tensor of the value's
    shape, which follows the value to another dtype or device, as momentum does; "rows" or "columns" for one with 1 for
    the last axis, or for the last but one; "number" for a count, or a tensor of
    one number, which does not; "other" for what only the optimizer can judge. Loaded state is checked against it."""

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[Parameter, State] = defaultdict(dict)
        self._fitted: dict[int, _Fitted] = {}  # by the place of the group, what it was at the last step
        entries = listed(self._name, params)
        for group in entries if any(isinstance(entry, dict) for entry in entries) else [{"params": entries}]:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: Group) -> None:
        """Add parameters with settings of their own; settings left out take the defaults.

        Raises ArgumentError for what is no parameter, or one twice, and for a setting that is unknown or out of range.
        """
        if not isinstance(group, dict) or "params" not in group:
            raise ArgumentError(
                f"{self._name}: a parameter group must be a dict with the key 'params', got {shown(group)}"
            )
        params, names = split_names(self._name, listed(self._name, group["params"]))
        require_known_settings(self._name, group, self.defaults)
        known = {parameter for other in self.param_groups for parameter in other["params"]}
        if len({*params} | known) < len(params) + len(known):
            raise ArgumentError(f"{self._name}: params must name each Parameter once, got one in two places")
        named = {} if names is None else {"param_names": names}
        settings = {**self.defaults, **group, "params": params, **named}
        self.check_settings(settings)
        self.param_groups.append(Settings(settings, self.check_settings))

    def check_settings(self, group: Group) -> None:
        """Raise ArgumentError for a setting outside its range; a subclass overrides this."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every trainable parameter that has a gradient.

        closure: computes the loss and the gradients, and returns the loss. It is called once, before the update. An
            optimizer that evaluates several times in one step writes a `step` of its own, which calls it as often as
            it needs, with zero_grad() before each, and refuses None.
        Returns what the closure returned, or None without one.
        Raises ShapeError and DtypeError for a gradient that is not like its value, and ShapeError for state that has
        another shape than a value that was replaced. Where the shape is wrong, nothing of that group has changed.
        """
        value = None if closure is None else self._called(closure)
        for number, group in enumerate(self.param_groups):
            fitted = self._fitted.get(number)
            grads = None if fitted is None else fitted.gradients(group["params"])
            if fitted is None or grads is None:  # the first step, or something is new
                active = [p for p in group["params"] if p.grad is not None and p.trainable]
                if not active:
                    continue
                fitted, grads = self._fit(active)
                self._fitted[number] = fitted
            self._update(fitted, grads, group)
        return value

    def _called(self, closure: Any) -> Any:
        """What a closure returns. Raises ArgumentError for what is no function."""
        if not callable(closure):
            raise ArgumentError(
                f"{self._name}: closure must be a function that computes loss and gradients, got {kind_of(closure)}"
            )
        return closure()

    def step_only(self, parameters: Iterable[Parameter]) -> None:
        """Update those of `parameters` that `step` would update, and no others: the same for each as in a whole step.

        Raises ArgumentError for an optimizer that must see all of them at once, StateError for one that sets settings.
        """
        self.require_steps_apart()
        chosen = set(parameters)
        for group in self.param_groups:
            active = [p for p in group["params"] if p in chosen and p.grad is not None and p.trainable]
            if active:
                part = {**group, "params": active}
                self._update(*self._fit(active), part)
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

    def update(self, values: list[Tensor], grads: list[Tensor], states: list[State], group: Group) -> None:
        """The formula: change `values` in place, by their gradients, what is kept for each, and the group's settings.

        values, grads: tensors of the same shapes, one each for a parameter; gradients are read and not written.
        states: for each a dict, empty before its first step, for the entries that `state_entries` names. A new entry
            is made by `persistent`.
        group: settings are read and not written: it may be a copy, and what changes by itself belongs into the state.
        """
        raise NotImplementedError(f"{self._name}: update must be defined")

    def fused_state(self, group: Group) -> tuple[str, ...] | None:  # noqa: ARG002 - a subclass reads it
        """The entries that `fused_update` needs under these settings; None where it cannot stand for `update`."""
        return None

    def fused_update(
        self, values: list[Tensor], grads: list[Tensor], held: dict[str, list[Tensor]], group: Group
    ) -> None:
        """The same formula by one of torch's fused kernels, which walk through memory and check nothing.

        It is called with tensors that such a kernel may be given, as `walkable` says, and with numbers as `countable`
        says, for parameters that have all entries of `fused_state`; their first step is taken by `update`.
        """
        raise NotImplementedError(f"{self._name}: fused_update must be defined where fused_state names entries")

    def _update(self, fitted: _Fitted, grads: list[Tensor], group: Group) -> None:
        names = self.fused_state(group) if fitted.walkable and _contiguous(grads, fitted.values) else None
        held = None if names is None else fitted.held(names, self.state)
        if names is not None and held is None:
            new = {p for p in fitted.parameters if not self.state[p].keys() >= {*names}}
            if new:
                self._begin(new, fitted, group)
                return
            if fitted.hold(names, self.state, self.state_entries):
                held = fitted.held(names, self.state)
            else:
                self._fit(fitted.parameters)  # refuses state whose shape was changed since it was loaded or made
        if held is None:
            self._require_gradients(fitted.parameters)
            self.update(fitted.values, grads, [self.state[p] for p in fitted.parameters], group)
            return
        try:
            self.fused_update(fitted.values, grads, held, group)
        except RuntimeError:
            self._require_gradients(fitted.parameters)  # of another dtype, which the kernel refuses itself
            raise

    def _begin(self, new: set[Parameter], fitted: _Fitted, group: Group) -> None:
        """Update where some parameters, or all, see their first step."""
        self._require_gradients(fitted.parameters)
        first = _Fitted([p for p in fitted.parameters if p in new])
        self.update(first.values, first.grads, [self.state[p] for p in first.parameters], group)
        later = [p for p in fitted.parameters if p not in new]
        if later:
            rest = _Fitted(later)
            self._update(rest, rest.grads, group)

    def _fit(self, parameters: list[Parameter]) -> tuple[_Fitted, list[Tensor]]:
        """Parameters that are to be updated, and their gradients: checked, with state that fits their values.

        State is converted where a value has moved to another dtype or device.
        Raises ShapeError, before anything is converted, for state of another shape than the value has now; DtypeError
        for values that are no floating-point numbers; the error of the first gradient that is not like its value.
        """
        for parameter in parameters:
            self._require_fitting_state(parameter)
        for parameter in parameters:
            move(self.state[parameter], self.state_entries, parameter.value)
        self._require_gradients(parameters)
        fitted = _Fitted(parameters)
        return fitted, fitted.grads

    def _require_fitting_state(self, parameter: Parameter) -> None:
        if not parameter.value.is_floating_point() and not parameter.value.is_complex():
            raise DtypeError(
                f"{self._name}: {self._described(parameter)} must be floating point to be trained, got "
                f"{parameter.value.dtype}; convert its value with .float()"
            )
        for name, held in self.state[parameter].items():
            kind = self.state_entries.get(name)
            if kind in SHAPED and (problem := misfit(held, kind, parameter.value)):
                raise ShapeError(
                    f"{self._name}: state {name!r} of {self._described(parameter)} {problem}; where a value was "
                    "replaced by one of another shape, start anew with optimizer.state.pop(parameter)"
                )

    def _require_gradients(self, parameters: list[Parameter]) -> None:
        """Raise the error of the first gradient that is not like its value."""
        for p in parameters:
            value, grad = p.value, p.grad
            if _alike(value, grad):
                continue  # without a description, for which all parameters are looked through
            what = f"{self._name}: gradient of {self._described(p)}"
            if not isinstance(grad, Tensor):
                raise DtypeError(f"{what} must be a tensor, got {type(grad).__name__}")
            if grad.shape != value.shape:
                raise ShapeError(
                    f"{what} must have the shape of the value, {tuple(value.shape)}, got {tuple(grad.shape)}"
                )
            if grad.dtype is not value.dtype or grad.layout is not value.layout:
                raise DtypeError(
                    f"{what} must be as the value is, {value.dtype} and {value.layout}, got {grad.dtype} and "
                    f"{grad.layout}; convert it, or the model"
                )
            raise DtypeError(
                f"{what} must be on the device of the value, {value.device}, got {grad.device}; move the model "
                "before the forward"
            )

    def _described(self, parameter: Parameter) -> str:
        """How an error names a parameter."""
        for group in self.param_groups:
            for place, other in enumerate(group["params"]):
                if other is parameter and "param_names" in group:
                    return f"parameter {group['param_names'][place]!r}"
        return f"parameter {numbers(self.param_groups)[parameter]}"

    def zero_grad(self) -> None:
        """Set every gradient to None."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """State and settings in torch's format: parameters are numbered in the order of the groups.

        The name of the class stands beside them as "type", which torch does not read.
        """
        places = numbers(self.param_groups)
        return {
            "type": self._name,
            "state": {places[parameter]: dict(held) for parameter, held in self.state.items() if held},
            "param_groups": [
                {**group, "params": [places[parameter] for parameter in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over state and settings, also those of a torch optimizer of the same kind.

        A state says of which class it is, and that of a class from which this one derives is taken too. One without a
        type, as torch's is, is taken if it fits.
        torch's flags of execution (foreach, fused, ...) are left out, and so are options of another version of it that
        are off. State takes the dtype and device of its parameter.
        Raises StateError, with every difference and nothing changed, for the state of another class, other groups,
        other names of parameters, a state of other entries or shapes, and for settings that are unknown, out of range
        or missing, though they do something by default.
        """
        settings, states = self._loadable(state)
        for group, taken in zip(self.param_groups, settings, strict=True):
            group.update({name: copied(value) for name, value in taken.items()})
        self.state.clear()
        self._fitted.clear()
        for parameter, held in states.items():
            self.state[parameter] = {name: copied(value) for name, value in held.items()}
            move(self.state[parameter], self.state_entries, parameter.value)

    def _loadable(self, state: Mapping[str, Any]) -> tuple[list[Group], dict[Parameter, State]]:
        """The settings of each group and the state of each parameter, checked."""
        groups, held = _parts(self._name, state)
        sizes, given = [len(g["params"]) for g in self.param_groups], [len(g["params"]) for g in groups]
        if sizes != given:
            raise StateError(f"{self._name}: state must be for groups of {sizes} parameters, got {given}")
        both = list(zip(self.param_groups, groups, strict=True))
        wrong = list(self._other_type(state))
        settings = [self._loadable_settings(number, own, saved, wrong) for number, (own, saved) in enumerate(both)]
        keys = {key: p for own, saved in both for key, p in zip(saved["params"], own["params"], strict=True)}
        states = self._loadable_states(held, keys, wrong)
        if wrong:
            raise StateError(f"{self._name}: state must be of {self._name} for these parameters; {'; '.join(wrong)}")
        return settings, states

    def _other_type(self, state: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with a state that names another class, though it may have the same entries."""
        kind, known = state.get("type", self._name), {cls.__name__ for cls in type(self).__mro__}
        if not (isinstance(kind, str) and kind in known):
            yield (
                f"its type must be {self._name!r}, got {shown(kind)}; where both keep the same, "
                "{'state': state['state'], 'param_groups': optimizer.state_dict()['param_groups']} is taken, with the "
                "settings of this one"
            )

    def _loadable_states(
        self, held: Mapping[Any, Any], keys: dict[Any, Parameter], wrong: list[str]
    ) -> dict[Parameter, State]:
        """The state of each parameter; what is wrong about it is added to `wrong`."""
        states: dict[Parameter, State] = {}
        found: dict[str, list[str]] = {}  # the parameters of each difference
        for key, entries in held.items():
            if key not in keys or not isinstance(entries, Mapping):
                wrong.append(f"state must have a dict for each parameter, got {type(entries).__name__} for {key!r}")
                continue
            kept = {name: value for name, value in entries.items() if value is not None}
            for difference in misfits(kept, self.state_entries, keys[key].value):
                found.setdefault(difference, []).append(self._described(keys[key]))
            if kept:
                states[keys[key]] = kept
        wrong += [f"{difference} ({', '.join(where)})" for difference, where in found.items()]
        return states

    def _loadable_settings(self, number: int, own: Group, saved: Mapping[str, Any], wrong: list[str]) -> Group:
        """The settings of one group; what is wrong about them is added to `wrong`."""
        taken, refused = loadable_settings(saved, self.defaults)
        wrong += [f"group {number} has a setting {name!r} that {self._name} has not" for name in refused]
        wrong += [f"group {number} must have the setting {name!r}" for name in missing_settings(saved, self.defaults)]
        names, others = own.get("param_names"), saved.get("param_names")
        if names is not None and others is not None and list(names) != list(others):
            mine, other = next(pair for pair in zip(names, others, strict=False) if pair[0] != pair[1])
            wrong.append(f"group {number} must have its parameters in the same order, got {shown(other)} for {mine!r}")
        try:
            self.check_settings({**own, **taken})
        except (ArgumentError, TypeError) as error:
            wrong.append(f"group {number}: {error}")
        return taken

    def __repr__(self) -> str:
        hidden = {"params", "param_names"}
        groups = [{k: v for k, v in group.items() if k not in hidden} for group in self.param_groups]
        settings = "; ".join(", ".join(f"{k}={v!r}" for k, v in group.items()) for group in groups)
        return f"{self._name}({settings})"


class _Fitted:
    """Parameters that were found to have state and gradients which fit their values, and what is known since then.

    All is looked at again at each step, in as few operations as there can be: tensors may be replaced, or resized in
    place, and a kernel that walks through memory checks nothing.
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        self.values = [p.value for p in parameters]
        self.walkable = not is_compiling() and walkable(self.values)
        self._seen = [(p, value, value.shape, value.numel()) for p, value in zip(parameters, self.values, strict=True)]
        self._columns: dict[str, list[Tensor]] = {}
        self._held: dict[str, list[tuple[Parameter, Tensor, int]]] = {}

    @property
    def grads(self) -> list[Tensor]:
        return [p.grad for p in self.parameters if p.grad is not None]  # as all have

    def gradients(self, parameters: list[Parameter]) -> list[Tensor] | None:
        """The gradients of those of `parameters` that are trained, if these are as they were seen; else None."""
        grads, seen = [], iter(self._seen)
        try:
            for p in parameters:
                grad = p.grad
                if grad is None or not p.trainable:
                    continue
                parameter, value, shape, size = next(seen)
                if p is not parameter or p.value is not value or value.numel() != size or grad.shape != shape:
                    return None
                if grad.is_meta:  # for which a kernel does nothing, in silence
                    return None
                grads.append(grad)
        except (StopIteration, AttributeError):  # another parameter, or a gradient that is no tensor
            return None
        return grads if next(seen, None) is None else None

    def held(self, names: tuple[str, ...], state: Mapping[Parameter, State]) -> dict[str, list[Tensor]] | None:
        """The entries of the state that a kernel may walk through, if they are as `hold` has seen them; else None."""
        found = {}
        try:
            for name in names:
                found[name] = self._columns[name]
                for p, tensor, size in self._held[name]:
                    if state[p][name] is not tensor or tensor.numel() != size:
                        return None
                if not _contiguous(found[name]):
                    return None
        except KeyError:
            return None
        return found

    def hold(self, names: tuple[str, ...], state: Mapping[Parameter, State], entries: Entries) -> bool:
        """Look at the entries of the state, which all parameters have: whether a kernel may walk through them."""
        for name in names:
            column = [state[p][name] for p in self.parameters]
            counts = entries.get(name) == "number"
            if not (countable(self.values, column) if counts else walkable(self.values, [column])):
                return False
            self._columns[name] = column
            self._held[name] = [(p, tensor, tensor.numel()) for p, tensor in zip(self.parameters, column, strict=True)]
        return True


def _contiguous(*columns: list[Tensor]) -> bool:
    """Whether all tensors are dense and contiguous; one may have been changed in place."""
    try:
        for tensors in columns:
            if not all(map(_is_contiguous, tensors)):
                return False
    except (RuntimeError, TypeError):  # a sparse one, or what is no tensor
        return False
    return True


def _alike(value: Tensor, grad: Any) -> bool:
    """Whether a gradient is as its value is."""
    return (
        isinstance(grad, Tensor)
        and grad.shape == value.shape
        and grad.dtype is value.dtype
        and grad.layout is value.layout
        and grad.device == value.device
    )


def _parts(owner: str, state: Any) -> tuple[list[Mapping[str, Any]], Mapping[Any, Any]]:
    """Groups and state of a state dict. Raises StateError if it is none."""
    if not isinstance(state, Mapping) or not {"state", "param_groups"} <= state.keys():
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise StateError(f"{owner}: state must be a dict with the keys 'state' and 'param_groups', got {found}")
    groups, held = state["param_groups"], state["state"]
    whole = isinstance(groups, (list, tuple)) and all(map(_is_group, groups))
    if not whole or not isinstance(held, Mapping):
        raise StateError(f"{owner}: state must be a dict of dicts and a list of groups with 'params', got another")
    return list(groups), held


def _is_group(saved: Any) -> bool:
    return isinstance(saved, Mapping) and isinstance(saved.get("params"), (list, tuple))
