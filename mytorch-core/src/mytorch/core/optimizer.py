"""The contract of optimizers: parameter groups, state, and one formula a subclass writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core._fitted_parameters import FittedParameters, require_fitting, require_gradients
from mytorch.core._optimizer_loading import Loading
from mytorch.core.checks import kind_of
from mytorch.core.errors import ArgumentError, StateError
from mytorch.core.optimizer_state import Entries, State, copied, move
from mytorch.core.parameter import Parameter
from mytorch.core.parameter_groups import (
    Group,
    Settings,
    listed,
    numbers,
    require_known_settings,
    split_names,
)
from mytorch.core.quantity import Quantity
from mytorch.plugins import shown


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

    elementwise: ClassVar[bool] = False
    """Whether each number of a parameter is updated by its own gradient and state, and by numbers that are the same
    for all, so that a part of a parameter is updated as it is in the whole. A subclass of which this is true says so:
    then several processes may divide each parameter. Otherwise each parameter stays in one piece."""

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
        self._fitted: dict[int, FittedParameters] = {}  # by the place of the group, what it was at the last step
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

    def quantities(self) -> Sequence[Quantity]:
        """What must be shown the backward of every step, before `step` is called; nothing unless a subclass says so.

        A training adds them to the user's, and refuses, by the name of the optimizer, what cannot show them.
        """
        return ()

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
                f"a changed {min(written)!r}; keep what changes in the state, or set mixes_parameters = True"
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

    def _update(self, fitted: FittedParameters, grads: list[Tensor], group: Group) -> None:
        names = self.fused_state(group)
        held = None if names is None else fitted.held(names, grads, self.state)
        if held is None and names is not None and fitted.may_walk(grads):
            new = {p for p in fitted.parameters if not self.state[p].keys() >= {*names}}
            if new:
                self._begin(new, fitted, group)
                return
            if fitted.hold(names, self.state, self.state_entries):
                held = fitted.held(names, grads, self.state)
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

    def _begin(self, new: set[Parameter], fitted: FittedParameters, group: Group) -> None:
        """Update where some parameters, or all, see their first step."""
        self._require_gradients(fitted.parameters)
        first = FittedParameters([p for p in fitted.parameters if p in new])
        self.update(first.values, first.grads, [self.state[p] for p in first.parameters], group)
        later = [p for p in fitted.parameters if p not in new]
        if later:
            rest = FittedParameters(later)
            self._update(rest, rest.grads, group)

    def _fit(self, parameters: list[Parameter]) -> tuple[FittedParameters, list[Tensor]]:
        """Parameters that are to be updated, and their gradients: checked, with state that fits their values.

        State is converted where a value has moved to another dtype or device.
        Raises ShapeError, before anything is converted, for state of another shape than the value has now; DtypeError
        for values that are no floating-point numbers; the error of the first gradient that is not like its value.
        """
        for parameter in parameters:
            require_fitting(self._name, self.param_groups, self.state_entries, parameter, self.state[parameter])
        for parameter in parameters:
            move(self.state[parameter], self.state_entries, parameter.value)
        self._require_gradients(parameters)
        fitted = FittedParameters(parameters)
        return fitted, fitted.grads

    def _require_gradients(self, parameters: list[Parameter]) -> None:
        require_gradients(self._name, self.param_groups, parameters)

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

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickle keep: not the values of the last step, which may have been replaced since then."""
        return {**vars(self), "_fitted": {}}

    def _loadable(self, state: Mapping[str, Any]) -> tuple[list[Group], dict[Parameter, State]]:
        """The settings of each group and the state of each parameter, checked."""
        names = tuple(cls.__name__ for cls in type(self).__mro__)
        return Loading(names, self.param_groups, self.defaults, self.state_entries, self.check_settings).read(state)

    def __repr__(self) -> str:
        hidden = {"params", "param_names"}
        groups = [{k: v for k, v in group.items() if k not in hidden} for group in self.param_groups]
        settings = "; ".join(", ".join(f"{k}={v!r}" for k, v in group.items()) for group in groups)
        return f"{self._name}({settings})"
