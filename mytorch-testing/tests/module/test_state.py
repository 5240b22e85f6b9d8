"""Modules whose state leaves out what decides the next step, or is loaded carelessly, beside right twins."""

import random

import pytest
import torch

from mytorch.core import Buffer, Module, Parameter, StateError, require_last_axis
from mytorch.testing import CheckError, check_layer

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Scale(Module):
    """y = gain * x * 2^-steps, where steps counts the forwards before this one in training."""

    def __init__(self):
        self.gain = Parameter(torch.rand(3))
        self.steps = Buffer(torch.zeros(()))

    def forward(self, x):
        require_last_axis(self, x, 3)
        factor = self.gain.value * 0.5**self.steps.value
        if self.training:
            self.steps.value = self.steps.value + 1
        return factor * x, (x, factor)

    def backward(self, d_y, saved):
        x, factor = saved
        self.gain.accumulate((d_y * x * factor / self.gain.value).reshape(-1, 3).sum(0))
        return factor * d_y


class CountsInPython(Scale):
    def __init__(self):
        super().__init__()
        self.count = 0

    def forward(self, x):
        self.steps.value = torch.zeros_like(self.steps.value) + self.count
        self.count += 1
        return super().forward(x)


class CountsAtBackward(Scale):
    """The step that backward takes is told by nothing that the state holds."""

    turns = 0

    def backward(self, d_y, saved):
        self.turns += 1
        return super().backward(d_y, saved) * (1.0 if self.turns < 3 else 2.0)


class Noise(Scale):
    """Draws from a generator of its own; that is random state, which decides along with the state."""

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(5)

    def forward(self, x):
        y, saved = super().forward(x)
        return y + torch.rand(y.shape, dtype=y.dtype, generator=self.generator), saved


class LoadsWhatItFinds(Scale):
    """Neither a missing name nor another one is told."""

    def load_state_dict(self, state, strict=True):
        known = dict(self.named_state())
        return super().load_state_dict({key: state.get(key, held.value) for key, held in known.items()}, strict)


class LoadsByHalves(Scale):
    """Copies what fits before it sees what does not."""

    def load_state_dict(self, state, strict=True):
        if strict:
            super().load_state_dict(
                {key: value for key, value in state.items() if key == "steps" and value is not None}, strict=False
            )
        return super().load_state_dict(state, strict)


class StripsThePrefix(Scale):
    """Loads what DataParallel wrote and says nothing."""

    def load_state_dict(self, state, strict=True):
        return super().load_state_dict({name.removeprefix("module."): value for name, value in state.items()}, strict)


class SaysNothingOfThePrefix(Scale):
    def load_state_dict(self, state, strict=True):
        if strict and set(state) != {"gain", "steps"}:
            raise StateError(f"{type(self).__name__}: state must fit the module")
        return super().load_state_dict(state, strict)


class Tied(Module):
    """y = gain * gain * x, the gain under two names."""

    def __init__(self):
        self.first = self.second = Parameter(torch.rand(3))

    def forward(self, x):
        require_last_axis(self, x, 3)
        return self.first.value * self.second.value * x, x

    def backward(self, d_y, x):
        self.first.accumulate((2 * d_y * x * self.first.value).reshape(-1, 3).sum(0))
        return self.first.value * self.second.value * d_y


class WantsEveryName(Tied):
    """As torch.nn, which counts a name as missing though the tensor came under another."""

    def load_state_dict(self, state, strict=True):
        if strict and len(state) < 2:
            raise StateError(f"{type(self).__name__}: state must fit the module; missing: a name")
        return super().load_state_dict(state, strict)


class TakesOneName(Tied):
    """Takes a state of the second name without loading it."""

    def load_state_dict(self, state, strict=True):
        return super().load_state_dict({name: value for name, value in state.items() if name == "first"}, False)


class NeverLoose(Scale):
    def load_state_dict(self, state, strict=True):
        return super().load_state_dict(state, True)


class LoosesNothing(Scale):
    def load_state_dict(self, state, strict=True):
        return super().load_state_dict(state, strict) if strict else ([], [])


class Holder(Module):
    def __init__(self):
        self.inner = Scale()

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, d_y, saved):
        return self.inner.backward(d_y, saved)


class Remembers(Holder):
    """Keeps every child that it ever had."""

    children_of_all_times = []  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.children_of_all_times.append(self.inner)


class Registered(Scale):
    """Every module of this class stays in a list."""

    all = []  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.all.append(self)


@pytest.mark.parametrize(
    ("wrong", "check", "text"),
    [
        (
            CountsInPython,
            "state_decides",
            "output must be decided by state_dict and the random state: hold what a step",
        ),
        (CountsAtBackward, "state_decides", "gradient of x must be decided by state_dict and the random state"),
        (LoadsWhatItFinds, "strict_loading", "a state that lacks 'gain' must raise a StateError, got no error"),
        (LoadsByHalves, "strict_loading", "steps must stay what it is after a state that lacks 'gain' was refused"),
        (StripsThePrefix, "wrapped_names", "names all begin with 'module.' must raise a StateError .*, got no error"),
        (SaysNothingOfThePrefix, "wrapped_names", "says so, got 'SaysNothingOfThePrefix: state must fit the module'"),
        (NeverLoose, "loose_loading", "must not raise, got StateError"),
        (LoosesNothing, "loose_loading", "must return what is missing, .*'steps'.*, and unexpected, .*'not.there'"),
        (Registered, "children_freed", "the module, which nobody holds any more, must leave memory"),
        (Remembers, "children_freed", "child inner, which was replaced, must leave memory"),
    ],
)
def test_a_wrong_layer_fails_where_its_twin_passes(wrong, check, text):
    with pytest.raises(CheckError, match=f"{wrong.__name__}.*{check}: .*{text}"):
        check_layer(wrong, X, checks=(check,), modes=("train",))
    for right in (Scale, Holder, Noise):
        assert check_layer(right, X, checks=(check,), modes=("train",)).passed == [f"train/{check}"]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            WantsEveryName,
            "a state without second must be taken, since it has each tensor under another name, got .*missing",
        ),
        (TakesOneName, "first must be loaded: a state without first must be taken"),
    ],
)
def test_a_tied_tensor_may_come_under_any_of_its_names(wrong, text):
    with pytest.raises(CheckError, match=f"{wrong.__name__}.*tied_names: {text}"):
        check_layer(wrong, X, checks=("tied_names",), modes=("train",))
    assert check_layer(Tied, X, checks=("tied_names",), modes=("train",)).passed == ["train/tied_names"]
    assert check_layer(Scale, X, checks=("tied_names",), modes=("train",)).passed == ["train/tied_names"]


class Jitter(Module):
    """Draws in training, from Python's random and from a generator of its own."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x):
        gain = 1 + random.random() + torch.rand(1, generator=self.generator, dtype=x.dtype)
        return gain * x, gain

    def backward(self, d_y, gain):
        return gain * d_y


def test_a_layer_may_draw_from_python_and_from_its_own_generator():
    checks = ("state_decides", "finite_differences")
    assert len(check_layer(Jitter, X, checks=checks, modes=("train",)).passed) == 2


def test_a_layer_without_state_has_nothing_to_load():
    class Double(Module):
        def forward(self, x):
            return 2 * x, None

        def backward(self, d_y, saved):
            return 2 * d_y

    checks = ("strict_loading", "wrapped_names", "tied_names", "loose_loading")
    report = check_layer(Double, X, checks=checks, modes=("train",))
    assert report.skipped == {f"train/{check}": "it has no state" for check in checks}
    assert check_layer(Double, X, checks=("state_decides",), modes=("train",)).passed
