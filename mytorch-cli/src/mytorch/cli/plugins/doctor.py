"""`mytorch plugins doctor`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mytorch.plugins import PluginError, catalogue, printable

if TYPE_CHECKING:
    from mytorch.plugins.doctor import Diagnosis


@click.command(short_help="Import every part, and report what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--traceback", is_flag=True, help="Show the traceback of every part that is broken.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool, traceback: bool) -> None:
    """Import every part in a child process, and report what is wrong and how to fix it.

    The parts of a distribution share a process as long as each is imported without side effects. A slow import is
    attributed to the first part that needs it.

    Verdicts: ok, blocked (never imported), slow, duplicate (its name means another part), meddling (changes torch, or
    prints, when imported), incompatible (made for another mytorch-core, never imported), broken.

    Packages whose metadata cannot be read are reported before anything is imported, and so are misspelt groups of
    entry points, which are never used. A torch that mytorch is not tested with is reported, too.

    The exit status is 0 without problems, 1 if something is slow or duplicate or torch is not one of those tested,
    2 for anything worse.

    \b
    Example:
      mytorch plugins doctor
      mytorch plugins doctor --json
    """
    from mytorch.plugins.doctor import (
        SEVERITY,
        diagnose,
        foreign_packages,
        misspelt_groups,
        torch_outside_of_range,
        unreadable_metadata,
    )

    if unreadable := unreadable_metadata():
        raise PluginError("plugins: the metadata of every package must be readable\n" + "\n".join(unreadable))
    foreign, found, torch = [*foreign_packages(), *misspelt_groups()], [], torch_outside_of_range()
    for diagnosis in diagnose(catalogue()):
        found.append(diagnosis)
        if not as_json:
            click.echo(printable("\n".join(described(diagnosis, traceback))))
    if as_json:
        parts = [asdict(diagnosis) for diagnosis in found]
        click.echo(json.dumps({"foreign": foreign, "torch": torch, "parts": parts}, indent=2))
    else:
        counts = Counter(diagnosis.verdict for diagnosis in found)
        told = [*foreign, *([torch] if torch else [])]
        click.echo("\n".join([*told, ", ".join(f"{counts[v]} {v}" for v in SEVERITY if counts[v]) or "no parts"]))
    worst = [SEVERITY[diagnosis.verdict] for diagnosis in found]
    ctx.exit(max(worst + [2] * bool(foreign) + [1] * bool(torch), default=0))


def described(diagnosis: Diagnosis, traceback: bool) -> list[str]:
    """The lines about one part."""
    part = diagnosis.part
    lines = [f"{diagnosis.verdict:12}  {part.kind:11}  {part.reference} {part.version}"]
    if diagnosis.reason:
        lines.append(f"    {diagnosis.reason}")
    if diagnosis.remedy:
        lines.append(f"    fix: {diagnosis.remedy}")
    if diagnosis.advice:
        lines.append(f"    advice to its author: {diagnosis.advice}")
    if traceback and diagnosis.traceback:
        lines += [f"    {line}" for line in diagnosis.traceback.splitlines()]
    return lines
