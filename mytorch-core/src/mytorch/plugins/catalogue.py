"""What is installed, read from the metadata of distributions: no plugin code is executed to list it."""

from __future__ import annotations

import functools
import shlex
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageMetadata,
    PackageNotFoundError,
    distributions,
    version,
)
from pathlib import Path
from typing import Any

from mytorch.plugins.core_version import canonicalize_name, core_mismatch, core_requirement
from mytorch.plugins.errors import (
    DuplicateError,
    DuplicateWarning,
    MytorchError,
    PluginError,
    PluginWarning,
    UnknownNameError,
    nearest,
)
from mytorch.plugins.exits import no_exit
from mytorch.plugins.kinds import COME_WITH, KINDS, wrong_kind
from mytorch.plugins.rules import VARIABLES, rules
from mytorch.plugins.shown import one_line, shown
from mytorch.plugins.source import definition, find_source
from mytorch.plugins.strict import strict

OWN = frozenset(
    f"mytorch-{part}"
    for part in ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")
)
"""The distributions of this project. A bare name belongs to them first."""

NEEDS = {
    "mytorch-experiments": ("mytorch-nn", "mytorch-optim", "mytorch-data", "mytorch-train"),
    "mytorch-sklearn": ("mytorch-nn", "mytorch-optim", "mytorch-train"),
    "mytorch-playground": ("mytorch-experiments", "mytorch-testing", "mytorch-train"),
}
"""What distributions of this project need of it beside mytorch-core, which is there."""


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

    def incompatibility(self) -> str | None:
        """Why this mytorch-core is not one that the distribution asks for, and the remedy; None if it is."""
        reason = core_mismatch(self.core_requirement)
        if reason is None:
            return None
        return f"{self.label} {reason}. Upgrade or remove it: {self.remedy}"

    def blocked(self) -> str | None:
        """The rule that keeps this part from being imported, in words; None if there is none."""
        return rules().blocked(self, own=self.distribution in OWN)

    def unblock_command(self, blocked: str) -> str:
        """The command that takes away the rule which `blocked` tells of."""
        for variable in VARIABLES.values():
            if blocked.endswith(variable):
                return f"unset {variable}"
        return f"mytorch plugins unblock {self.reference if repr(self.reference) in blocked else self.distribution}"

    @property
    def file(self) -> Path | None:
        """The file of its code, found without importing it; None if it is not there."""
        return find_source(definition(self.target).partition(":")[0])

    def load(self) -> Any:
        """Import the object.

        Raises PluginError if it is blocked, made for another mytorch-core, fails at import or is not of its kind.
        """
        if blocked := self.blocked():
            raise PluginError(f"{self.label} is {blocked}. Remove that entry: {self.unblock_command(blocked)}")
        if reason := self.incompatibility():
            raise PluginError(reason)
        try:
            with no_exit():
                value = EntryPoint(self.name, self.target, KINDS[self.kind]).load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit among it
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise PluginError(
                f"{self.label} cannot be imported from {self.target} ({reason}). {self.removal}"
            ) from error
        if wrong := wrong_kind(self.kind, value):
            raise PluginError(f"{self.label} {wrong} at {self.target}. {self.removal}")
        return value

    @property
    def label(self) -> str:
        """Kind, name, distribution and version, as messages name the part."""
        return f"{self.kind} {self.name!r} of {self.distribution} {self.version}"

    @property
    def removal(self) -> str:
        """What to do about a part that cannot be used."""
        return f"Fix or remove it: {self.remedy}"

    @property
    def remedy(self) -> str:
        """The command that takes a part away."""
        return f"python -m pip uninstall {self.distribution}"


class Catalogue:
    """The parts of one environment, by kind and name."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = sorted(set(parts))
        self._of_kind: dict[str, list[Part]] = {}
        self._named: dict[tuple[str, str], list[Part]] = {}
        for part in self._parts:
            self._of_kind.setdefault(part.kind, []).append(part)
            self._named.setdefault((part.kind, part.name), []).append(part)

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def of_kind(self, kind: str) -> list[Part]:
        """Every part of a kind, sorted by name."""
        if kind not in KINDS:
            raise UnknownNameError(f"plugins: unknown kind {shown(kind)}. {nearest(kind, KINDS)}")
        return list(self._of_kind.get(kind, ()))

    def find(self, kind: str, name: str) -> Part:
        """The part that `name` or "distribution:name" means.

        A bare name belongs to the project's own part if there is one, else to the one that a preference names.
        Raises UnknownNameError with the nearest names, PluginError if what has the name is blocked, or DuplicateError
        if several distributions offer it.
        """
        return self._choose(kind, name)[0]

    def _choose(self, kind: str, name: str) -> tuple[Part, str | None]:
        """The part, and why it was taken before others of that name; None if there are no others."""
        distribution, _, bare = name.rpartition(":")
        found = self._named.get((kind, bare), [])
        if distribution:
            found = [part for part in found if part.distribution == canonicalize_name(distribution)]
        if not found:
            known = [part.reference if distribution else part.name for part in self.of_kind(kind)]
            raise UnknownNameError(f"{kind}: {shown(name)} is not installed. {self.remedy(kind, name, known)}")
        usable = [part for part in found if part.blocked() is None]
        if len(usable) < 2:
            return (usable or found)[0], None
        if own := [part for part in usable if part.distribution in OWN]:
            return own[0], "this project's own parts come first"
        if preferred := rules().preferred(usable):
            return preferred[0], f"preferred by {preferred[1]}"
        raise DuplicateError(f"{kind}: {shown(name)} is offered by several distributions; {ways_out(usable)}")

    def remedy(self, kind: str, name: str, known: Collection[str]) -> str:
        """What to write instead of an unknown name, or to install: this project's distributions may be absent."""
        installed = {part.distribution for part in self._parts}
        absent = [distribution for distribution in COME_WITH.get(kind, ()) if distribution not in installed]
        asked = canonicalize_name(name.rpartition(":")[0])
        if not absent or (asked and asked not in absent):
            return nearest(name, known)
        plural = KINDS[kind].rpartition(".")[2].capitalize()
        source = f"{plural} of this project come with {', '.join(absent)}: {install_command(*absent)}"
        return f"{nearest(name, known)} {source}" if known else source

    def load(self, kind: str, name: str) -> Any:
        """Find a part and import it. One line, once a process, says which was taken of several that have the name."""
        part, why = self._choose(kind, name)
        if why is not None:
            self._announce(part, why)
        return part.load()

    def _announce(self, part: Part, why: str) -> None:
        if part in _announced:
            return
        _announced.add(part)
        others = [other.reference for other in self.same_name(part) if other != part]
        warnings.warn(
            f"{part.kind} {part.name!r} is taken from {part.distribution}: {why}; it is also {', '.join(others)}",
            DuplicateWarning,
            stacklevel=3,
        )

    def same_name(self, part: Part) -> list[Part]:
        """Every part that its bare name could mean, this one among them. No name chooses a hook: all are used."""
        if part.kind == "hook":
            return [part]
        return list(self._named.get((part.kind, part.name), ()))

    def reference_of(self, kind: str, value: object) -> str | None:
        """The unambiguous name under which a class is offered, or None if no entry point leads to it.

        Only entry points to an attribute of the class's name in its own package are looked at, so that nothing
        foreign is imported.
        """
        wanted, module = getattr(value, "__qualname__", None), str(getattr(value, "__module__", ""))
        for part in self.of_kind(kind):
            if part.target.rpartition(":")[2] != wanted or not _same_package(part.target, module):
                continue
            try:
                if part.load() is value:
                    return part.reference
            except MytorchError:
                continue
        return None


def _same_package(target: str, module: str) -> bool:
    return target.partition(":")[0].partition(".")[0] == module.partition(".")[0]


_announced: set[Part] = set()


def ways_out(parts: list[Part]) -> str:
    """What to do where several distributions offer a name."""
    first = parts[0].reference
    references = " or ".join(repr(part.reference) for part in parts[:3])
    more = f" or one of {len(parts) - 3} more" if len(parts) > 3 else ""
    return f"write {references}{more}, or choose one for good: mytorch plugins prefer {first}"


def install_command(*names: str) -> str:
    """The command that installs distributions; the project's own by their paths in a checkout.

    With one of the project's own, those that it needs and that are not installed are named, too: pip would look for
    them on an index.
    """
    needed = [other for name in names for other in _needs(name) if not _installed(other)]
    where = [f"./{name}" if name in OWN else name for name in dict.fromkeys([*needed, *names])]
    return f"python -m pip install {shlex.join(where)}"


def _needs(name: str) -> Iterator[str]:
    """What a distribution of this project needs of it, and what that needs."""
    for other in NEEDS.get(name, ()):
        yield from _needs(other)
        yield other


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue of this environment, read once a process."""
    parts: list[Part] = []
    seen: set[str] = set()
    for distribution in distributions():
        try:
            if "[mytorch." not in (distribution.read_text("entry_points.txt") or ""):
                continue  # before the metadata is parsed, which costs most
            metadata = distribution.metadata  # parsed at each look
            (given,) = metadata.get_all("Name") or ("",)
            if not given:
                raise ValueError("it has no Name")
            name = canonicalize_name(given)
            if name not in seen:  # the first on sys.path is the one that would be imported
                seen.add(name)
                parts += list(_parts(distribution, name, metadata))
        except Exception as error:
            _warn_of_unreadable(distribution, error)
    return Catalogue(parts)


def _warn_of_unreadable(distribution: Distribution, error: Exception) -> None:
    """Leave out a distribution whose metadata is damaged, in a line that says where it lies."""
    where = getattr(distribution, "_path", None) or "a distribution"
    message = (
        f"{where} is left out: its metadata must have a Name and entry points like 'Name = package:attribute', "
        f"got what cannot be read ({why_unreadable(error)}). Install it again or remove it"
    )
    if strict():
        raise PluginError(message) from error
    warnings.warn(message, PluginWarning, stacklevel=3)


def why_unreadable(error: BaseException) -> str:
    """Why metadata could not be read, in words that need no knowledge of Python for what is not text."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.object[error.start]:#04x} at place {error.start} is not UTF-8 text"
    return f"{type(error).__name__}: {one_line(error)}"


def _parts(distribution: Distribution, name: str, metadata: PackageMetadata) -> Iterator[Part]:
    kinds = {group: kind for kind, group in KINDS.items()}
    requirement = core_requirement(metadata.get_all("Requires-Dist") or distribution.requires or ())
    for entry in distribution.entry_points:
        if entry.group in kinds:
            yield Part(kinds[entry.group], entry.name, name, metadata["Version"], entry.value, requirement)
