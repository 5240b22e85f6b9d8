"""Whether a module's state says all that decides what it does next, and is loaded as the contract says."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import torch

from mytorch.core import Module, RandomState, StateError, random_state
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Trial, require_equal
from mytorch.testing.structure import tensors


def state_decides(case: Case) -> None:
    """State and random state determine the next step: a module that loads both continues like the original."""
    first = Trial(case)
    for _ in range(2):
        output, saved = first.forward_again(case.inputs)
        first.backward(first.upstream(output), saved)
    second = Trial(case)
    if first.module.state_dict():
        second.module.load_state_dict(first.module.state_dict())
    random = random_state(first.module).state_dict()
    outputs = []
    for trial in (first, second):
        RandomState.from_state_dict(random, trial.module).restore()
        trial.module.zero_grad()
        output, saved = trial.forward_again(case.inputs)
        outputs.append((tensors(output, "output"), trial.answer(trial.upstream(output), saved)))
    rule = "be decided by state_dict and the random state: hold what a step changes in a Buffer"
    for name, value in outputs[0][0].items():
        require_close(name, outputs[1][0].get(name), value, rule)
    require_equal(outputs[1][1], outputs[0][1], rule)


def strict_loading(case: Case) -> None:
    """A state with a missing name, an unknown name or a wrong shape raises a StateError and changes nothing."""
    trial = Trial(case)
    state = trial.module.state_dict()
    if not state:
        raise Skip("it has no state")
    name = next(iter(state))
    others = {key: value + 1 for key, value in Trial(replace(case, seed=case.seed + 1)).module.state_dict().items()}
    wrong = {
        f"that lacks {name!r}": {key: value for key, value in others.items() if not _is_shared(state, key, name)},
        "with a name that is not there": {**others, "not.there": torch.zeros(1)},
        f"in which {name!r} has another shape": {**others, name: torch.zeros(*state[name].shape, 2)},
        f"in which {name!r} is no tensor": {**others, name: None},
    }
    before = {key: value.clone() for key, value in state.items()}
    for words, given in wrong.items():
        try:
            trial.module.load_state_dict(given)  # type: ignore[arg-type]
        except StateError:
            pass
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise CheckError(f"a state {words} must raise a StateError, got {got}") from error
        else:
            raise CheckError(f"a state {words} must raise a StateError, got no error")
        for key, value in trial.module.state_dict().items():
            require_close(key, value, before[key], f"stay what it is after a state {words} was refused", 0, 0)


def _is_shared(state: dict[str, torch.Tensor], one: str, other: str) -> bool:
    return state[one].data_ptr() == state[other].data_ptr() if state[one].numel() else one == other


def wrapped_names(case: Case) -> None:
    """A state whose names all begin with "module.", as DataParallel writes them, raises a StateError that says so."""
    trial = Trial(case)
    state = trial.module.state_dict()
    if not state:
        raise Skip("it has no state")
    words = "a state whose names all begin with 'module.' must raise a StateError that says so"
    try:
        trial.module.load_state_dict({f"module.{name}": value + 1 for name, value in state.items()})
    except StateError as error:
        if "'module.'" not in str(error):
            raise CheckError(f"{words}, got {str(error)!r}") from None
    else:
        raise CheckError(f"{words}, got no error")


def tied_names(case: Case) -> None:
    """A tensor with several names, as in a module that is used twice, may be loaded under any one of them."""
    if not Trial(case).module.state_dict():
        raise Skip("it has no state")
    names: dict[int, list[str]] = {}
    for name, held in Trial(case).module.named_state():
        names.setdefault(id(held), []).append(name)
    for group in names.values():
        for name in group if len(group) > 1 else ():
            _require_enough(Trial(case).module, {other for other in group if other != name})
    for use in ("one.", "other."):
        twice = _Twice(Trial(case).module)
        _require_enough(twice, {name for name, _ in twice.named_state() if name.startswith(use)})


class _Twice(Module):
    """What uses a module twice, so that each of its tensors has two names."""

    def __init__(self, module: Module) -> None:
        self.one = self.other = module


def _require_enough(module: Module, absent: set[str]) -> None:
    """Raise CheckError unless a state that lacks some names is taken, whose tensors are there under others."""
    held = dict(module.named_state())
    given = {name: value + 1 for name, value in module.state_dict().items() if name not in absent}
    expected = {id(held[name]): value for name, value in given.items()}
    rule = f"a state without {', '.join(sorted(absent))} must be taken, since it has each tensor under another name"
    try:
        module.load_state_dict(given)
    except StateError as error:
        raise CheckError(f"{rule}, got {error}") from error
    for name, value in module.state_dict().items():
        require_close(name, value, expected[id(held[name])], f"be loaded: {rule}", 0, 0)


def loose_loading(case: Case) -> None:
    """With strict=False, the names that match are loaded, and everything else stays as it is."""
    trial = Trial(case)
    state = {key: value.clone() for key, value in trial.module.state_dict().items()}
    if not state:
        raise Skip("it has no state")
    name = next(iter(state))
    given = {name: state[name] + 1, "not.there": torch.zeros(1)}
    missing, unexpected = trial.module.load_state_dict(given, strict=False)
    after = trial.module.state_dict()
    absent = [key for key in after if not _is_shared(after, key, name)]
    if (list(missing), list(unexpected)) != (absent, ["not.there"]):
        rule = f"must return what is missing, {absent}, and unexpected, ['not.there']"
        raise CheckError(f"load_state_dict(strict=False) {rule}, got {missing} and {unexpected}")
    require_close(name, after[name], given[name], "be loaded with strict=False", 0, 0)
    for key, value in after.items():
        if not _is_shared(after, key, name):
            require_close(key, value, state[key], "stay what it is where the state has nothing for it", 0, 0)


def children_freed(case: Case) -> None:
    """A replaced child, and a module that nothing refers to any more, are freed."""
    module = Trial(case).module
    for name in [name for name, value in vars(module).items() if isinstance(value, Module)]:
        gone = weakref.ref(getattr(module, name))
        setattr(module, name, _Stand())
        _require_gone(gone, f"child {name}, which was replaced,")
    gone = weakref.ref(module)
    del module
    _require_gone(gone, "the module, which nobody holds any more,")


class _Stand(Module):
    """What takes a child's place."""


def _require_gone(gone: weakref.ref[Module], words: str) -> None:
    if gone() is not None:
        gc.collect()
    if gone() is not None:
        raise CheckError(f"{words} must leave memory, got one that something still refers to")
