"""Drawing the first weights of a model as an experiment says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

from mytorch.core import Module, MytorchError
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.arguments import check_arguments
from mytorch.experiments.file.experiment import InitializationRule, Spec
from mytorch.experiments.file.parts import as_spec, find, require_unset
from mytorch.nn import initialize, initialize_where


def initialize_model(net: Module, said: Spec | list[InitializationRule] | None) -> None:
    """Draw the weights by one initialiser, or by rules one after the other. Raises ExperimentError with the key."""
    if isinstance(said, Spec):
        _check_initializer("initialization", said)
        with _at("initialization"):
            initialize(net, said.type, **said.arguments)
        return
    for index, rule in enumerate(said or ()):
        key = f"initialization.{index}"
        for name, spec in rule.initializers.items():
            _check_initializer(f"{key}.{name}", as_spec(spec))
        named = {
            name: spec if isinstance(spec, str) else spec.model_dump() for name, spec in rule.initializers.items()
        }
        with _at(key):
            initialize_where(net, named, layers=rule.layers, names=rule.names)


def _check_initializer(key: str, spec: Spec) -> None:
    fill = find(key, "initializer", spec.type)
    given = {next(iter(inspect.signature(fill).parameters)), "generator"}  # the tensor comes first
    require_unset(key, spec, *given)
    check_arguments(key, fill, spec.arguments, *given)


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Within this context, an error of the project becomes an ExperimentError that starts with the key."""
    try:
        yield
    except MytorchError as error:
        told = ExperimentError(f"{key}: {error}")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told from error
