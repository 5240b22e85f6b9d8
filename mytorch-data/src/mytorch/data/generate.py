"""Making a data set by the name under which it is installed."""

import inspect
from collections.abc import Callable
from typing import Any

from mytorch.core import ArgumentError, DataSet
from mytorch.plugins import OWN, catalogue, shown

Constructor = Callable[..., Any]


def generator(name: str) -> Constructor:
    """The installed data set that `name` means, in any case, if it can be made from samples and a seed.

    Raises UnknownNameError with the nearest names, DuplicateError if several distributions offer it, PluginError
    if it cannot be imported, ArgumentError if it cannot be generated.
    """
    distribution, colon, bare = name.rpartition(":")
    alike = [part for part in catalogue().of_kind("dataset") if part.name.lower() == bare.lower()]
    if alike and bare not in {part.name for part in alike}:
        bare = min(alike, key=lambda part: part.distribution not in OWN).name  # a bare name is the project's first
    found: Any = catalogue().load("dataset", f"{distribution}{colon}{bare}")
    if not callable(found):
        raise ArgumentError(f"generate: {name!r} must be a DataSet, got {shown(found)}")
    missing = {"samples", "seed"} - set(inspect.signature(found).parameters)
    if missing:
        raise ArgumentError(
            f"generate: {name!r} must take samples and seed to be generated, it lacks {' and '.join(sorted(missing))}"
        )
    return found  # type: ignore[no-any-return]


def make(constructor: Constructor, samples: int, seed: int, dtype: str | None = None) -> DataSet:
    """Call it; a dtype is passed only if one is asked for."""
    arguments: dict[str, Any] = {"samples": samples, "seed": seed}
    if dtype is not None:
        if "dtype" not in inspect.signature(constructor).parameters:
            raise ArgumentError("generate: dtype must be left out for this data set, which takes none")
        arguments["dtype"] = dtype
    dataset = constructor(**arguments)
    if not isinstance(dataset, DataSet):
        raise ArgumentError(f"generate: the generator must make a DataSet, got {type(dataset).__name__}")
    return dataset
