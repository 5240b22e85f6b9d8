"""`mytorch plugins show`."""

import click

from mytorch.cli.plugins.listing import blocked, rules_or_none
from mytorch.plugins import (
    OWN,
    Part,
    Rules,
    UnknownNameError,
    catalogue,
    first_docstring_line,
    nearest,
    printable,
    shown,
)


@click.command(short_help="Show everything that is known about a part.")
@click.argument("name")
def show(name: str) -> None:
    """Show everything that is known about NAME, a part's name or "distribution:name", without importing it.

    \b
    Example:
      mytorch plugins show Linear
      mytorch plugins show mytorch-optim:SGD
    """
    parts = [part for part in catalogue() if name in (part.name, part.reference)]
    if not parts:
        known = [part.reference if ":" in name else part.name for part in catalogue()]
        raise UnknownNameError(f"plugins: {shown(name)} is not installed. {nearest(name, known)}")
    said = rules_or_none()
    click.echo(printable("\n\n".join(described(part, said) for part in parts)))


def described(part: Part, said: Rules) -> str:
    """The lines about one part."""
    others = [other for other in catalogue().same_name(part) if other != part]
    lines = {
        "kind": part.kind,
        "name": part.name,
        "distribution": f"{part.distribution} {part.version}",
        "needs core": part.core_requirement or "any version",
        "target": part.target,
        "file": part.file or "(not found)",
        "description": first_docstring_line(part.target) or "-",
        "use": part.reference if _needs_reference(part, others, said) else part.name,
    }
    if others:
        lines["same name"] = ", ".join(other.reference for other in others)
    if rule := blocked(part, said):
        lines["blocked"] = rule
    if reason := part.incompatibility():
        lines["cannot be used"] = reason
    width = max(map(len, lines))
    return "\n".join(f"{key:{width}}  {value}" for key, value in lines.items())


def _needs_reference(part: Part, others: list[Part], said: Rules) -> bool:
    usable = [one for one in (part, *others) if blocked(one, said) is None]
    if len(usable) < 2:
        return False
    first = [one for one in usable if one.distribution in OWN] or [
        one for one, _ in filter(None, [said.preferred(usable)])
    ]
    return part not in first[:1]
