"""Finding and building the parts that an experiment names."""

from __future__ import annotations

from typing import Any

from mytorch.core import MytorchError
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.arguments import construct
from mytorch.experiments.file.experiment import Spec
from mytorch.plugins import catalogue


def find(key: str, kind: str, name: str) -> Any:
    """An installed part by name. An error names the key."""
    try:
        return catalogue().load(kind, name)
    except MytorchError as error:
        error.add_note(f"at {key}.type of the experiment")
        raise


def build_part(key: str, kind: str, spec: Spec, **given: Any) -> Any:
    """A part from its spec; `given` are arguments that the program fills in."""
    require_unset(key, spec, *given)
    return construct(key, find(key, kind, spec.type), {**spec.arguments, **given}, *given)


def as_spec(entry: str | Spec) -> Spec:
    """A part that is given by its name alone, or as a spec."""
    return Spec(type=entry) if isinstance(entry, str) else entry


def require_unset(key: str, spec: Spec, *given: str) -> None:
    """Raise ExperimentError if a spec sets what the program fills in."""
    for name in given:
        if name in spec.arguments:
            raise ExperimentError(f"{key}.{name}: is filled in by the program and must be left out")
