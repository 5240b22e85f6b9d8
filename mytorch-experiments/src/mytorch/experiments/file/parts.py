"""Finding and building the parts that an experiment names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
    with told_of_replaced(key, spec):
        return construct(key, find(key, kind, spec.type), {**spec.arguments, **given}, *given)


@contextmanager
def told_of_replaced(key: str, spec: Spec) -> Iterator[None]:
    """Within this context, an error says that a part has the settings of the one that an override replaced."""
    try:
        yield
    except ExperimentError as error:
        if spec._replaced is not None:
            error.add_note(
                f"The table has the settings of {spec._replaced}, which --set {key}.type={spec.type} left there; "
                f"replace it whole: --set '{key}={{type = \"{spec.type}\"}}'"
            )
        raise


def as_spec(entry: str | Spec) -> Spec:
    """A part that is given by its name alone, or as a spec."""
    return Spec(type=entry) if isinstance(entry, str) else entry


def require_unset(key: str, spec: Spec, *given: str) -> None:
    """Raise ExperimentError if a spec sets what the program fills in."""
    for name in given:
        if name in spec.arguments:
            raise ExperimentError(f"{key}.{name}: is filled in by the program and must be left out")
