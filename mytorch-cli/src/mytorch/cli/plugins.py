"""`mytorch plugins`: what is installed, without importing any of it."""

import json
import warnings
from dataclasses import asdict

import click

from mytorch.plugins import KINDS, Part, PluginError, PluginWarning, catalogue, strict

HEADINGS = ("KIND", "NAME", "DISTRIBUTION", "VERSION", "NEEDS CORE", "TARGET")


@click.group()
def plugins() -> None:
    """Show what the installed distributions offer.

    \b
    Example:
      mytorch plugins list layer
    """


@plugins.command("list")
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
    click.echo(json.dumps([asdict(part) for part in parts], indent=2) if as_json else table(parts))
    for problem in problems(parts):
        if strict():
            raise PluginError(problem)
        warnings.warn(problem, PluginWarning, stacklevel=1)


def table(parts: list[Part]) -> str:
    """The parts in aligned columns."""
    rows = [HEADINGS]
    rows += [(p.kind, p.name, p.distribution, p.version, p.core_requirement or "-", p.target) for p in parts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def problems(parts: list[Part]) -> list[str]:
    """What is wrong with the parts as far as metadata tells: a core that does not fit, a name claimed twice."""
    found = [misfit for part in parts if (misfit := part.misfit())]
    for kind, name in sorted({(part.kind, part.name) for part in parts}):
        same = [part for part in parts if (part.kind, part.name) == (kind, name)]
        if len(same) > 1:
            ways = " or ".join(repr(part.reference) for part in same)
            found.append(f"{kind} {name!r} is offered by several distributions; write {ways}")
    return found
