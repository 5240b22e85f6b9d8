"""What is installed, read from the metadata of distributions: no plugin code is executed to list it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from mytorch.plugins.core_version import canonicalize_name, core_misfit, core_requirement
from mytorch.plugins.errors import DuplicateError, MytorchError, PluginError, UnknownNameError, nearest

KINDS = {
    "layer": "mytorch.layers",
    "loss": "mytorch.losses",
    "initializer": "mytorch.initializers",
    "optimizer": "mytorch.optimizers",
    "schedule": "mytorch.schedules",
    "dataset": "mytorch.datasets",
    "transform": "mytorch.transforms",
    "metric": "mytorch.metrics",
    "experiment": "mytorch.experiments",
    "command": "mytorch.commands",
    "hook": "mytorch.hooks",
}
OWN = frozenset(f"mytorch-{part}" for part in ("core", "nn", "optim", "data", "train", "testing", "cli"))
"""The distributions of this project. A bare name belongs to them first."""


@dataclass(frozen=True, order=True)
class Part:
    """One entry point: something that a distribution offers to the others."""

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    """Where the object is, as "package.module:attribute"."""
    core_requirement: str | None
    """The versions of mytorch-core that the distribution asks for, such as ">=0.1,<0.2"; None if it says nothing."""

    @property
    def reference(self) -> str:
        """The name that is never ambiguous: "distribution:Name"."""
        return f"{self.distribution}:{self.name}"

    def misfit(self) -> str | None:
        """Why this mytorch-core is not one that the distribution asks for, and the remedy; None if it is."""
        reason = core_misfit(self.core_requirement)
        if reason is None:
            return None
        return (
            f"{self.kind} {self.name!r} of {self.distribution} {self.version} {reason}. "
            f"Upgrade or remove it: python -m pip uninstall {self.distribution}"
        )

    def load(self) -> Any:
        """Import the object. Raises PluginError if it is made for another mytorch-core or its own code fails."""
        if misfit := self.misfit():
            raise PluginError(misfit)
        try:
            return EntryPoint(self.name, self.target, KINDS[self.kind]).load()
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
            raise PluginError(
                f"{self.kind} {self.name!r} of {self.distribution} {self.version} cannot be imported "
                f"from {self.target} ({reason}). "
                f"Mend or remove it: python -m pip uninstall {self.distribution}"
            ) from error


class Catalogue:
    """The parts of one environment, by kind and name."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = sorted(set(parts))

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def of_kind(self, kind: str) -> list[Part]:
        """Every part of a kind, sorted by name."""
        if kind not in KINDS:
            raise UnknownNameError(f"plugins: unknown kind {kind!r}. {nearest(kind, KINDS)}")
        return [part for part in self._parts if part.kind == kind]

    def find(self, kind: str, name: str) -> Part:
        """The part that `name` or "distribution:name" means.

        A bare name belongs to the project's own part if there is one.
        Raises UnknownNameError with the nearest names, or DuplicateError if several distributions offer it.
        """
        offered = self.of_kind(kind)
        distribution, _, bare = name.rpartition(":")
        found = [part for part in offered if part.name == bare]
        if distribution:
            found = [part for part in found if part.distribution == canonicalize_name(distribution)]
        elif own := [part for part in found if part.distribution in OWN]:
            found = own
        if not found:
            known = [part.reference if distribution else part.name for part in offered]
            raise UnknownNameError(f"{kind}: {name!r} is not installed. {nearest(name, known)}{_offer(kind)}")
        if len(found) > 1:
            ways = " or ".join(repr(part.reference) for part in found)
            raise DuplicateError(f"{kind}: {name!r} is offered by several distributions; write {ways}")
        return found[0]

    def load(self, kind: str, name: str) -> Any:
        """Find a part and import it."""
        return self.find(kind, name).load()

    def reference_of(self, kind: str, value: object) -> str | None:
        """The unambiguous name under which a class is offered, or None if no entry point leads to it.

        Only entry points whose attribute has the class's name are looked at, so nothing foreign is imported.
        """
        wanted = getattr(value, "__qualname__", None)
        for part in self.of_kind(kind):
            if part.target.rpartition(":")[2] != wanted:
                continue
            try:
                if part.load() is value:
                    return part.reference
            except MytorchError:
                continue
        return None


_OFFERED_BY = {
    "layer": "mytorch-nn",
    "loss": "mytorch-nn",
    "initializer": "mytorch-nn",
    "optimizer": "mytorch-optim",
    "schedule": "mytorch-optim",
    "dataset": "mytorch-data",
    "transform": "mytorch-data",
    "metric": "mytorch-train",
    "experiment": "mytorch-train",
}


def _offer(kind: str) -> str:
    """Which absent distribution of the project would bring parts of this kind."""
    owner = _OFFERED_BY.get(kind)
    if owner is None or any(part.distribution == owner for part in catalogue()):
        return ""
    return f" {owner} is not installed; it may offer it: {install_command(owner)}"


def install_command(*names: str) -> str:
    """The command that installs distributions; the project's own by their path in a checkout."""
    where = [f"./{name}" if name in OWN else name for name in names]
    return f"python -m pip install {' '.join(where)}"


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue of this environment, read once a process."""
    parts: list[Part] = []
    seen: set[str] = set()
    for distribution in distributions():
        if "[mytorch." not in (distribution.read_text("entry_points.txt") or ""):
            continue  # before the metadata is parsed, which costs most
        name = canonicalize_name(distribution.metadata["Name"])
        if name not in seen:  # the first on sys.path is the one that would be imported
            seen.add(name)
            parts += _parts(distribution, name)
    return Catalogue(parts)


def _parts(distribution: Distribution, name: str) -> Iterator[Part]:
    kinds = {group: kind for kind, group in KINDS.items()}
    requirement = core_requirement(distribution.requires or ())
    for entry in distribution.entry_points:
        if entry.group in kinds:
            yield Part(kinds[entry.group], entry.name, name, distribution.version, entry.value, requirement)
