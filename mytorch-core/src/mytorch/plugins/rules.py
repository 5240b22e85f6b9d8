"""What the user says about plugins: which are blocked, which alone are allowed, which one a shared name means."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from mytorch.plugins.core_version import canonicalize_name
from mytorch.plugins.errors import SettingsError
from mytorch.plugins.shown import one_line, shown
from mytorch.plugins.toml import parse_toml

VARIABLES = {name: f"MYTORCH_{name.upper()}_PLUGINS" for name in ("block", "only", "prefer")}


class Named(Protocol):
    """What a rule is about: something that a distribution offers under a name, such as a part of the catalogue."""

    @property
    def distribution(self) -> str:
        """The distribution's name in the one spelling of PEP 503."""

    @property
    def name(self) -> str:
        """The name under which it is offered."""


@dataclass(frozen=True)
class Rule:
    """One entry, "distribution" or "distribution:Name", and where it was written."""

    entry: str
    source: str

    def covers(self, part: Named) -> bool:
        """Whether the entry means this part."""
        distribution, colon, name = self.entry.partition(":")
        return canonicalize_name(distribution) == part.distribution and (not colon or name == part.name)

    def __str__(self) -> str:
        return f"{self.entry!r} in {self.source}"


AnyNamed = TypeVar("AnyNamed", bound=Named)


@dataclass(frozen=True)
class Rules:
    """The entries of the environment and of the user's file.

    block: never imported.  only: of other people's distributions, none but these is imported, if there is any entry.
    prefer: what a name means that several distributions offer.
    """

    block: tuple[Rule, ...] = ()
    only: tuple[Rule, ...] = ()
    prefer: tuple[Rule, ...] = ()

    def blocked(self, part: Named, own: bool) -> str | None:
        """The rule that keeps a part from being imported, in words; `own` are the project's, which `only` spares."""
        for rule in self.block:
            if rule.covers(part):
                return f"blocked by {rule}"
        if self.only and not own and not any(rule.covers(part) for rule in self.only):
            return f"not among those allowed in {self.only[0].source}"
        return None

    def preferred(self, parts: Sequence[AnyNamed]) -> tuple[AnyNamed, Rule] | None:
        """The first of the preferences that means exactly one of these parts."""
        for rule in self.prefer:
            meant = [part for part in parts if rule.covers(part)]
            if len(meant) == 1:
                return meant[0], rule
        return None


def settings_file() -> Path:
    """The user's file: MYTORCH_CONFIG, or plugins.toml in the folder that the system keeps for settings."""
    if named := os.environ.get("MYTORCH_CONFIG"):
        return Path(named)
    from platformdirs import user_config_path

    return user_config_path("mytorch", appauthor=False) / "plugins.toml"


def rules() -> Rules:
    """The rules of this process: blocks add up; `only` and `prefer` of the environment come before the file's.

    Raises SettingsError if the file cannot be read.
    """
    given = tuple(os.environ.get(variable, "") for variable in VARIABLES.values())
    return _rules(given, settings_file())


@functools.cache
def _rules(given: tuple[str, ...], path: Path) -> Rules:
    environment = {
        name: tuple(Rule(entry.strip(), VARIABLES[name]) for entry in text.split(",") if entry.strip())
        for name, text in zip(VARIABLES, given, strict=True)
    }
    written = {
        name: tuple(Rule(entry, str(path)) for entry in entries) for name, entries in read_settings(path).items()
    }
    return Rules(
        block=environment["block"] + written["block"],
        only=environment["only"] or written["only"],
        prefer=environment["prefer"] + written["prefer"],
    )


def read_settings(path: Path) -> dict[str, list[str]]:
    """The lists `block`, `only` and `prefer` of a file; empty ones if there is no file."""
    try:
        content = parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        content = {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: must be a TOML file, got {one_line(error)}; fix or remove it") from None
    for key, entries in content.items():
        if key not in VARIABLES:
            raise SettingsError(f"{path}: {key}: must be one of {', '.join(VARIABLES)}; fix or remove it")
        if not isinstance(entries, list) or not all(isinstance(entry, str) and entry.strip() for entry in entries):
            raise SettingsError(
                f'{path}: {key}: must be a list of "distribution" or "distribution:Name", got {shown(entries)}'
            )
    return {name: content.get(name, []) for name in VARIABLES}
