"""Keeping all that random numbers are drawn from, so that the same numbers can be drawn once more."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections.abc import Collection, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from mytorch.core.errors import StateError
from mytorch.core.held_generators import Generator, OfNumpy, OfPython, held_generators
from mytorch.core.remembered_state import numpy_state, python_state
from mytorch.core.tree import Node, walk

_PYTHON, _NUMPY, _MODULES = "python", "numpy", "modules."


class RandomState:
    """The state of everything that a training step may draw from, at one moment; `random_state` makes one.

    `restore` puts it back, as often as wanted. As a context manager it is restored at the end of the block.

    Example:
        >>> import torch
        >>> from mytorch.core import random_state
        >>> state = random_state()
        >>> first = torch.rand(3)
        >>> state.restore()
        >>> torch.equal(torch.rand(3), first)
        True
    """

    def __init__(self, generators: Mapping[str, Generator], values: Mapping[str, Any]) -> None:
        self._generators, self._values = generators, values

    def restore(self) -> None:
        """Put every state back into the generator that it was taken from."""
        for name, value in self._values.items():
            if name == _PYTHON:
                random.setstate(value)
            elif name == _NUMPY:
                sys.modules["numpy.random"].set_state(value)
            else:
                self._generators[name].set_state(value)

    def again(self) -> Self:
        """The state of the same generators now, without a search for those of layers, which takes long."""
        return type(self)(self._generators, _states(self._generators))

    def drawn(self) -> bool:
        """Whether a number was drawn from any of them since, or a state was set to another one."""
        return any(not _same(value, self._values.get(name)) for name, value in _states(self._generators).items())

    def digests(self) -> dict[str, str]:
        """By name, a short text that is the same for equal states, in another process too."""
        plain = {
            name: value.tolist() if isinstance(value, Tensor) else value for name, value in self.state_dict().items()
        }
        return {
            name: hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
            for name, state in plain.items()
        }

    def branch(self, number: int, names: Collection[str] | None = None) -> None:
        """Seed each by its state and a number, so that processes that start alike draw apart, reproducibly.

        names: of those to seed; all if left out.

        Example:
            >>> import torch
            >>> from mytorch.core import random_state
            >>> state, drawn = random_state(), []
            >>> for number in (1, 2, 1):
            ...     state.branch(number)
            ...     drawn.append(torch.rand(3))
            >>> torch.equal(drawn[0], drawn[1]), torch.equal(drawn[0], drawn[2])
            (False, True)
            >>> state.restore()
        """
        for name, start in self.digests().items():
            if names is not None and name not in names:
                continue
            seed = int(hashlib.sha256(f"{start} {name} {number}".encode()).hexdigest()[:15], 16)
            if name == _PYTHON:
                random.seed(seed)
            elif name == _NUMPY:
                sys.modules["numpy.random"].seed(seed % 2**32)
            else:
                self._generators[name].manual_seed(seed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.restore()

    def state_dict(self) -> dict[str, Any]:
        """The state by the names of what is drawn from, as safetensors and JSON hold it.

        "cpu", "cuda.0", "mps" and, for a generator that a layer holds, such as "modules.0.dropout.generator" have
        uint8 tensors. "python", "numpy" and a layer's generator of theirs have what JSON writes and reads unchanged.
        """
        return {name: value if isinstance(value, Tensor) else _plain(value) for name, value in self._values.items()}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], *modules: Node) -> Self:
        """A state that `state_dict` gave, for the generators of these modules, which are not changed before `restore`.

        modules: built as those whose state was taken, and in the same order.
        What is not there to be restored, such as a GPU of another machine, is left out.
        Raises StateError for a value that is no state, and for generators of layers that are not those of the state.
        """
        generators = _generators(modules)
        _require_same_layers(set(state), set(generators))
        values: dict[str, Any] = {}
        for name, value in state.items():
            if name in generators or name == _PYTHON or (name == _NUMPY and "numpy.random" in sys.modules):
                values[name] = _checked(name, value, generators)
        return cls(generators, values)


def random_state(*modules: Node) -> RandomState:
    """The state of everything that a training step may draw from.

    modules: those whose layers may hold a generator as an attribute, such as Dropout(generator=...): the model and the
        loss. It may be a `torch.Generator`, a `random.Random`, or a `Generator` or `RandomState` of NumPy. One that
        several layers share is kept once.

    Kept are torch's generators of the CPU, of each GPU and of MPS, those of the layers, and the global states of
    Python's `random` and of NumPy. What nothing else has started, CUDA or `numpy.random`, is left alone.
    """
    generators = _generators(modules)
    return RandomState(generators, _states(generators))


def seed_torch(seed: int) -> None:
    """Seed torch's generators of the CPU, of each GPU and of MPS, if anything has started those.

    The numbers drawn are those after `torch.manual_seed`. That function also stores the seed and the call stack for
    devices that nothing has started, in half a millisecond a call; here, a device that is started later is not seeded.

    Example:
        >>> import torch
        >>> from mytorch.core import seed_torch
        >>> seed_torch(0)
        >>> first = torch.rand(3)
        >>> seed_torch(0)
        >>> torch.equal(torch.rand(3), first)
        True
    """
    for generator in _generators(()).values():
        generator.manual_seed(seed)


def _states(generators: Mapping[str, Generator]) -> dict[str, Any]:
    """Those of the generators and of what is global, by name."""
    return {name: generator.get_state() for name, generator in generators.items()} | _global_states()


def _global_states() -> dict[str, Any]:
    """Those of Python's `random` and, if it was imported, of NumPy."""
    numpy = sys.modules.get("numpy.random")
    states: dict[str, Any] = {_PYTHON: python_state()}
    return states if numpy is None else states | {_NUMPY: numpy_state(numpy)}


def _generators(modules: tuple[Node, ...]) -> dict[str, Generator]:
    """torch's own generators and those in the modules' attributes, each once, by name."""
    found: dict[str, Generator] = {"cpu": torch.default_generator}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found |= {f"cuda.{index}": one for index, one in enumerate(torch.cuda.default_generators)}
    if torch.backends.mps.is_available():
        found["mps"] = torch.mps._get_default_mps_generator()
    seen = set(map(id, found.values()))
    for index, module in enumerate(modules):
        for path, owner in walk(module):
            for name, itself, generator in held_generators(owner):
                if id(itself) not in seen:
                    seen.add(id(itself))
                    found[f"{_MODULES}{index}.{path}.{name}" if path else f"{_MODULES}{index}.{name}"] = generator
    return found


def _require_same_layers(stored: set[str], held: set[str]) -> None:
    for names, rule in ((held - stored, "have"), (stored - held, "have no")):
        layers = sorted(name for name in names if name.startswith(_MODULES))
        if layers:
            raise StateError(
                f"RandomState: state must {rule} {', '.join(layers)}, since its modules must have generators in the "
                "same places; build the modules as they were when the state was taken"
            )


def _plain(value: Any) -> Any:
    """Lists and plain numbers in place of tuples and NumPy's arrays."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value


def _same(value: Any, other: Any) -> bool:
    """Whether a state, or a part of one, equals another."""
    if isinstance(value, dict):
        return isinstance(other, dict) and all(_same(entry, other.get(name)) for name, entry in value.items())
    return bool((value == other).all()) if hasattr(value, "tolist") else value == other


def _checked(name: str, value: Any, generators: Mapping[str, Generator]) -> Any:
    """A value as `restore` wants it, once a generator made for this has taken it. Raises StateError."""
    try:
        if name == _PYTHON:
            version, numbers, gauss = value
            random.Random().setstate((version, tuple(numbers), gauss))
            return version, tuple(numbers), gauss
        if name == _NUMPY:
            numpy = sys.modules["numpy.random"]
            numpy.RandomState(getattr(numpy, value["bit_generator"])()).set_state(value)
            return value
        generator = generators[name]
        if not isinstance(generator, torch.Generator):
            generator.fresh().set_state(value)
            return value
        torch.Generator(generator.device).set_state(value)
        return value.clone()
    except Exception as error:  # each of them has errors of its own
        got = f"{_kind(value)} ({_first_line(error)})"
        owner = _owner(name, generators.get(name))
        raise StateError(f"RandomState: {name} must be a state of {owner}, got {got}") from error


def _owner(name: str, generator: Generator | None) -> str:
    if name == _PYTHON or isinstance(generator, OfPython):
        return "Python's random"
    return "NumPy's random" if name == _NUMPY or isinstance(generator, OfNumpy) else "a torch.Generator"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _kind(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
