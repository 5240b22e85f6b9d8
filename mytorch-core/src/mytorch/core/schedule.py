"""The contract of schedules: settings of the optimizer as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor

from mytorch.core.errors import ArgumentError, StateError
from mytorch.core.optimizer import Optimizer
from mytorch.plugins import shown


class Schedule:
    """Sets the learning rate, and whatever else it names, of every group of an optimizer.

    A subclass writes `settings`, a closed formula of the step; step 0 applies on construction. What no formula of the
    step can say, because it follows a metric, other schedules or what was before, derives from RecursiveSchedule.

    As in PyTorch, the learning rate that a schedule starts from is the one before the first schedule of the optimizer,
    kept in the group as `initial_lr`.

    optimizer: what is driven. Its groups must all be there.
    last_epoch: the last step that was taken before, to go on with an optimizer whose state was loaded.
    interval: whether the training loop calls `step` after every batch or after every epoch; of one schedule it may be
        set to the other before another holds it or training begins.
    monitor: the name of the number in the history, such as "validation_loss", that `step` must be given; None for a
        schedule that needs none.
    length_argument: the constructor's argument that holds the number of steps of the whole run, if there is one;
        the training loop fills it in when an experiment leaves it out.
    follows_others: whether, chained behind other schedules, it goes on from what they made of the learning rate; one
        of which this is false sets the learning rate of its formula all the same.

    Example:
        class Harmonic(Schedule):
            def settings(self, step, initial):
                return {"lr": initial["lr"] / (step + 1)}
    """

    interval: Literal["batch", "epoch"] = "epoch"
    monitor: str | None = None
    length_argument: ClassVar[str | None] = None
    follows_others: ClassVar[bool] = True
    torch_lacks: ClassVar[frozenset[str]] = frozenset()
    """Attributes, beside the arguments under PyTorch's names, that a state of PyTorch's schedule does not have."""
    torch_adds: ClassVar[frozenset[str]] = frozenset()
    """What such a state has, and this schedule has no attribute for."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{self._name}: optimizer must be an Optimizer, got {shown(optimizer)}")
        if type(last_epoch) is not int or last_epoch < -1:
            raise ArgumentError(f"{self._name}: last_epoch must be an integer of at least -1, got {shown(last_epoch)}")
        self.optimizer = optimizer
        groups = enumerate(optimizer.param_groups)
        self.initial = [{**self._initial(group, last_epoch), "group": place} for place, group in groups]
        self.last_epoch = last_epoch
        self._start()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _initial(self, group: dict[str, Any], last_epoch: int) -> dict[str, Any]:
        """The settings of a group before the first schedule."""
        if "lr" not in group:
            raise ArgumentError(
                f"{self._name}: optimizer must have a learning rate to schedule, got {shown(self.optimizer)}"
            )
        if last_epoch == -1:
            group.setdefault("initial_lr", number(group["lr"]))
        elif "initial_lr" not in group:
            raise ArgumentError(
                f"{self._name}: last_epoch must be -1 for an optimizer that no schedule has driven yet, got "
                f"{last_epoch}"
            )
        settings = {name: value for name, value in group.items() if name not in ("params", "param_names")}
        return {**settings, "lr": number(group["initial_lr"])}

    def _start(self) -> None:
        """The step that applies on construction."""
        if self.last_epoch == -1:
            self.begin()
        else:
            self.step()

    @property
    def base_lrs(self) -> list[float]:
        """The learning rate of each group before the schedule."""
        return [initial["lr"] for initial in self.initial]

    @property
    def driven(self) -> frozenset[str]:
        """The names of the settings that it changes."""
        return frozenset(self.settings(self.last_epoch, self.initial[0]))

    def settings(self, step: int, initial: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a group at a step, such as {"lr": ...}, from those it had at the start.

        initial: with the number of the group as "group", for a schedule that has numbers of its own for each.
        """
        raise NotImplementedError(f"{self._name}: settings must be defined")

    def require_step(self, number: int) -> None:
        """Raise ArgumentError if the schedule ends before the step of this number; one that ends overrides this.

        Training asks for its last step before it begins.
        """

    def chained_lr(self, initial: Mapping[str, Any], lr: float) -> float:
        """The learning rate of this step where other schedules have made it `lr` since the last one.

        What took the formula of the last step to `lr` is taken as its start: a schedule that multiplies by a factor
        multiplies `lr` by it. Where the formula does not depend on its start, as with a factor of 0, its change is
        added. This is what PyTorch's schedules do step by step. The formula must be linear in the initial rate, as
        those are; one that is not overrides this, or does not follow others.
        """

        def formula(step: int, start: float) -> float:
            found: float = self.settings(step, {**initial, "lr": start})["lr"]
            return found

        now = self.last_epoch
        if not self.follows_others:
            return formula(now, initial["lr"])
        if now == 0:
            return formula(0, lr)
        offset = formula(now - 1, 0.0)
        slope = formula(now - 1, 1.0) - offset
        if slope == 0:
            return lr + formula(now, initial["lr"]) - formula(now - 1, initial["lr"])
        return formula(now, (lr - offset) / slope)

    def begin(self, chained: bool = False) -> None:
        """Set step 0, from the initial learning rates, or from those of now if it is `chained` behind others."""
        self.last_epoch = 0
        self.advance(None, chained)

    def step(self, metric: float | Tensor | None = None) -> None:
        """Move on by one step and apply its settings; a setting that is a tensor is changed in place.

        metric: the value of `monitor`, for a schedule that has one.
        Raises ArgumentError where the metric is missing or not wanted, and where groups were added to the optimizer.
        """
        self._move(metric, chained=False)

    def chain(self, metric: float | Tensor | None = None) -> None:
        """As `step`, but from the learning rates as others have set them since; see `chained_lr`."""
        self._move(metric, chained=True)

    def _move(self, metric: float | Tensor | None, chained: bool) -> None:
        self.require_metric(metric)
        self._require_groups()
        self.last_epoch += 1
        try:
            self.advance(metric, chained)
        except OverflowError as error:  # which Python raises where torch has inf
            self.last_epoch -= 1
            raise ArgumentError(
                f"{self._name}: lr at step {self.last_epoch + 1} must be finite, got {error}"
            ) from error
        except ArgumentError:
            self.last_epoch -= 1
            raise

    def require_metric(self, metric: float | Tensor | None) -> None:
        """Raise ArgumentError unless the next step can do with this value of `monitor`."""
        if metric is not None and self.monitor is None:
            raise ArgumentError(
                f"{self._name}: step must be given no metric, since this schedule depends on none, got {shown(metric)}"
            )

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:  # noqa: ARG002 - for those that follow one
        """Apply the settings of the step that `last_epoch` has come to."""
        settings = []
        for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
            found = self.settings(self.last_epoch, initial)
            if chained and "lr" in found:
                found["lr"] = self.chained_lr(initial, number(group["lr"]))
            settings.append(found)
        self.apply(settings)

    def apply(self, settings: Sequence[Mapping[str, Any]]) -> None:
        """Change the settings of every group; one that is a tensor is changed in place.

        Raises ArgumentError, with nothing changed, for a learning rate that is not finite.
        """
        for found in settings:
            if not math.isfinite(found.get("lr", 0.0)):
                raise ArgumentError(f"{self._name}: lr at step {self.last_epoch} must be finite, got {found['lr']}")
        for group, found in zip(self.optimizer.param_groups, settings, strict=True):
            assign(group, found)

    def _require_groups(self) -> None:
        if len(self.optimizer.param_groups) != len(self.initial):
            raise ArgumentError(
                f"{self._name}: the optimizer must keep its {len(self.initial)} parameter groups, got "
                f"{len(self.optimizer.param_groups)}; add groups first and build the schedule after"
            )

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [number(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands, in numbers, strings and lists that JSON can hold.

        PyTorch's schedule of the same name takes it too, where the optimizer's state goes with it: what it reads
        stands beside, as `for_torch` says.
        """
        initial = [{name: _plain(value) for name, value in settings.items()} for settings in self.initial]
        own = {"type": self._name, "last_epoch": self.last_epoch, "initial": initial}
        return {**own, **self.for_torch()}

    def for_torch(self) -> dict[str, Any]:
        """What PyTorch's schedule of the same name reads from a state."""
        return {"base_lrs": self.base_lrs, "_last_lr": self.get_last_lr(), "_step_count": self.last_epoch + 1}

    def from_torch(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A state of PyTorch's schedule of the same name, in the form of `state_dict`."""
        rates = zip(self.initial, map(number, state.get("base_lrs", self.base_lrs)), strict=False)
        own = {"type": self._name, "last_epoch": max(state.get("last_epoch", 0), 0)}  # -1 before its turn comes
        return {**self.state_dict(), **own, "initial": [{**initial, "lr": lr} for initial, lr in rates]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another schedule stood, ours or PyTorch's; the optimizer's settings are set at once.

        Raises StateError, with every difference and nothing changed, for the state of another kind of schedule, or of
        one with other groups, and for one of PyTorch's with other arguments.
        """
        if wrong := list(self.differences(state)):
            raise StateError(f"{self._name}: state must be that of a {self._name}; {'; '.join(wrong)}")
        before = self.state_dict()
        try:
            self.restore(self.from_torch(state) if _is_torchs(state) else state)
        except (ArgumentError, ArithmeticError, LookupError, TypeError) as error:  # from the formula
            self.restore(before)
            told = error if isinstance(error, ArgumentError) else f"its settings give {type(error).__name__}: {error}"
            raise StateError(f"{self._name}: state must be that of a {self._name}; {told}") from error

    def differences(self, state: Any) -> Iterator[str]:
        """What is wrong with a state, one text each."""
        if _is_torchs(state):
            wrong = list(_torchs_misfits(state))
            yield from wrong or self.torch_differences(state)
            return
        keys = self.state_dict().keys() - self.for_torch().keys()
        if not isinstance(state, Mapping):
            yield f"it must be a dict, got {type(state).__name__}"
            return
        if state.get("type") != self._name:
            yield f"type must be {self._name!r}, got {shown(state.get('type'))}"
        if missing := sorted(keys - state.keys()):
            yield f"missing: {', '.join(missing)}"
        epoch, initial = state.get("last_epoch", 0), state.get("initial", self.initial)
        if type(epoch) is not int or epoch < 0:
            yield f"last_epoch must be an integer of at least 0, got {shown(epoch)}"
        if not isinstance(initial, (list, tuple)) or not all(_has_finite_lr(held) for held in initial):
            yield "initial must be a list of settings with a finite lr, got something else"
        elif len(initial) != len(self.initial):
            yield f"initial must have {len(self.initial)} groups, got {len(initial)}"

    def torch_differences(self, state: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with a state of PyTorch's, which does not say of what kind it is: what it holds must be ours.

        Compared are its groups, which arguments it has, and those of one name. An argument that this schedule does not
        have and that is off, as another version of PyTorch may add it, is left out.
        """
        own = {name for name in vars(self) if not name.startswith("_")} - _OURS - self.torch_lacks
        if missing := sorted(own - state.keys()):
            yield f"it must be of {self._name}, got one without {', '.join(missing)}"
        on = {name for name, value in state.items() if value is not None and value is not False}
        if more := sorted(name for name in on - own - _TORCHS - self.torch_adds if not name.startswith("_")):
            yield f"it must be of {self._name}, got one with {', '.join(more)}"
        if len(state["_last_lr"]) != len(self.initial):
            yield f"it must have {len(self.initial)} groups, got {len(state['_last_lr'])}"
        if "mode_worse" in state and self.monitor is None:
            yield "it must be of a schedule without a metric, got one of ReduceLROnPlateau"
        for name, value in vars(self).items():
            other = state.get(name, value)
            if name != "last_epoch" and isinstance(value, (int, float, str)) and other != value:
                yield f"{name} must be {value!r}, got {shown(other)}"

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state without differences."""
        self._require_groups()
        self.last_epoch = state["last_epoch"]
        self.initial = [dict(initial) for initial in state["initial"]]
        self.resume(state)

    def resume(self, state: Mapping[str, Any]) -> None:  # noqa: ARG002 - for those whose settings follow from more
        """Set the optimizer's settings as they were."""
        self.advance(None, chained=False)


_OURS = frozenset({"optimizer", "initial", "memory", "interval", "monitor", "schedulers", "last_epoch"})
"""Attributes that are no arguments of a schedule in PyTorch."""
_TORCHS = frozenset({"base_lrs", "last_epoch", "verbose"})
"""What every state of PyTorch's may have."""


class RecursiveSchedule(Schedule):
    """A schedule whose settings follow from those before, from a metric, or from other schedules.

    A subclass writes `advance`, which changes the settings that `driven` names, and `begin`; it keeps what it must
    remember in `memory`, a dict of values that JSON can hold. Both, and the settings as they are, are its state.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.memory: dict[str, Any] = {}
        super().__init__(optimizer, last_epoch)

    @property
    def driven(self) -> frozenset[str]:
        """The names of the settings that it changes."""
        return frozenset({"lr"})

    def begin(self, chained: bool = False) -> None:
        """Set step 0, from the initial learning rates, or from those of now if it is `chained` behind others."""
        raise NotImplementedError(f"{self._name}: begin must be defined")

    def advance(self, metric: float | Tensor | None, chained: bool) -> None:
        """Change the settings from those of the step before; `metric` is the value of `monitor`."""
        raise NotImplementedError(f"{self._name}: advance must be defined")

    def reset_lr(self) -> None:
        """Give each group its initial learning rate again."""
        for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
            assign(group, {"lr": initial["lr"]})

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands, with what it remembers and the settings that it has made."""
        now = [{name: _plain(group[name]) for name in sorted(self.driven)} for group in self.optimizer.param_groups]
        return {**super().state_dict(), "memory": dict(self.memory), "settings": now}

    def from_torch(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """A state of PyTorch's schedule of the same name, in the form of `state_dict`."""
        own = super().from_torch(state)
        rates = map(number, state["_last_lr"])
        settings = zip(own["settings"], rates, strict=False)
        return {**own, "settings": [{**held, "lr": lr} if "lr" in held else held for held, lr in settings]}

    def differences(self, state: Any) -> Iterator[str]:
        """What is wrong with a state, one text each."""
        yield from super().differences(state)
        if not isinstance(state, Mapping):
            return
        memory = state.get("memory", self.memory)
        if not isinstance(memory, Mapping) or memory.keys() != self.memory.keys():
            yield f"memory must hold {', '.join(self.memory) or 'nothing'}, got {shown(memory)}"
        if "settings" not in state:
            return  # which is told as missing, or the state is PyTorch's
        settings = state["settings"]
        if not isinstance(settings, (list, tuple)) or len(settings) != len(self.initial):
            yield f"settings must have {len(self.initial)} groups, got {shown(settings)}"
        elif not all(_has_finite_lr(held, 0.0) and held.keys() == self.driven for held in settings):
            yield f"settings must hold {', '.join(sorted(self.driven))}, and lr be finite, got {shown(settings)}"

    def resume(self, state: Mapping[str, Any]) -> None:
        """Set the optimizer's settings as they were."""
        self.memory = dict(state["memory"])
        for group, settings in zip(self.optimizer.param_groups, state["settings"], strict=True):
            assign(group, settings)


def _is_torchs(state: Any) -> bool:
    return isinstance(state, Mapping) and "_last_lr" in state and "type" not in state


def _torchs_misfits(state: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the numbers that every state of PyTorch's holds."""
    for name in ("_last_lr", "base_lrs"):
        rates = state.get(name, [])
        if not isinstance(rates, (list, tuple)) or not all(map(_is_finite, rates)):
            yield f"{name} must be a list of finite numbers, got {shown(rates)}"
    if type(state.get("last_epoch", 0)) is not int:
        yield f"last_epoch must be an integer, got {shown(state['last_epoch'])}"


def _has_finite_lr(held: Any, otherwise: float | None = None) -> bool:
    """Whether settings have a finite learning rate; `otherwise` stands for one that is missing."""
    return isinstance(held, Mapping) and _is_finite(held.get("lr", otherwise))


def _is_finite(value: Any) -> bool:
    """Whether a value is a finite number, or a tensor of one."""
    one = number(value)
    return isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)


def _plain(value: Any) -> Any:
    """As JSON gives it back: the number in a tensor of one, and a list for a tuple."""
    return list(value) if isinstance(value, tuple) else number(value)


def number(value: Any) -> Any:
    """The number in a tensor of one, and anything else as it is."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def assign(group: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Change settings of a group; one that is a tensor is changed in place."""
    for name, value in settings.items():
        if isinstance(group[name], Tensor):
            group[name].fill_(value)
        else:
            # By `update`, which does not look at the range again; a list is what JSON gives back of betas.
            group.update({name: tuple(value) if isinstance(value, list) else value})
