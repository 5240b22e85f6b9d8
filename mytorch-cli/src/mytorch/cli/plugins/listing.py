"""`mytorch plugins list`."""

import json
import warnings
from dataclasses import asdict
from typing import Any

import click

from mytorch.plugins import (
    KINDS,
    OWN,
    Part,
    PluginError,
    PluginWarning,
    Rules,
    SettingsError,
    catalogue,
    printable,
    rules,
    strict,
    ways_out,
)

HEADINGS = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "NEEDS CORE", "TARGET")


@click.command("list", short_help="List layers, losses, commands and all other parts.")
@click.argument("kind", required=False, type=click.Choice(list(KINDS)), metavar="[KIND]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, for programs.")
def list_parts(kind: str | None, as_json: bool) -> None:
    """List layers, losses, commands and all other parts, of one KIND or of every kind.

    A part is usable by its name in experiment files, by "distribution:name" where several have that name.

    \b
    Example:
      mytorch plugins list
      mytorch plugins list optimizer --json
    """
    parts = [part for of_kind in ([kind] if kind else KINDS) for part in catalogue().of_kind(of_kind)]
    said = rules_or_none()
    as_text = json.dumps([as_data(part, said) for part in parts], indent=2) if as_json else table(parts, said)
    click.echo(printable(as_text))
    for problem in problems(parts, said):
        if strict():
            raise PluginError(problem)
        warnings.warn(problem, PluginWarning, stacklevel=1)


def rules_or_none() -> Rules:
    """The user's rules; none, and a warning, if the file that holds them is damaged: listing imports nothing."""
    try:
        return rules()
    except SettingsError as error:
        if strict():
            raise
        warnings.warn(str(error), PluginWarning, stacklevel=1)
        return Rules()


def blocked(part: Part, said: Rules) -> str | None:
    """The rule that blocks a part, in words."""
    return said.blocked(part, own=part.distribution in OWN)


def as_data(part: Part, said: Rules) -> dict[str, Any]:
    """What a program may want to know about a part."""
    return {**asdict(part), "file": str(part.file) if part.file else None, "blocked": blocked(part, said)}


def table(parts: list[Part], said: Rules) -> str:
    """The parts in aligned columns; behind a part that is blocked stands the rule."""
    rows = [HEADINGS]
    rows += [(p.kind, p.name, p.distribution, p.version, p.core_requirement or "-", p.target) for p in parts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    notes = ["", *(f"  ({rule})" if (rule := blocked(part, said)) else "" for part in parts)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(line + note for line, note in zip(lines, notes, strict=True))


def problems(parts: list[Part], said: Rules) -> list[str]:
    """What is wrong with the parts as far as metadata tells: a core that does not fit, a name claimed twice."""
    usable = [part for part in parts if blocked(part, said) is None]
    found = [reason for part in usable if (reason := part.incompatibility())]
    for kind, name in sorted({(part.kind, part.name) for part in usable if part.kind != "hook"}):
        same = [part for part in usable if (part.kind, part.name) == (kind, name)]
        if len(same) > 1:
            found.append(f"{kind} {name!r} is offered by several distributions; {_meaning(same, said)}")
    return found


def _meaning(same: list[Part], said: Rules) -> str:
    references = " or ".join(repr(part.reference) for part in same)
    if own := [part for part in same if part.distribution in OWN]:
        return f"the name means {own[0].reference!r}; write {references}"
    if preferred := said.preferred(same):
        return f"the name means {preferred[0].reference!r} (preferred by {preferred[1]}); write {references}"
    return ways_out(same)
