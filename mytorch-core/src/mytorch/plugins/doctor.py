"""What is wrong with the installed plugins, and the command that fixes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from pathlib import Path

from mytorch.plugins.catalogue import OWN, Catalogue, Part, install_command, why_unreadable
from mytorch.plugins.core_version import core_mismatch
from mytorch.plugins.errors import DuplicateError, closest
from mytorch.plugins.kinds import KINDS
from mytorch.plugins.probe import Finding, probe
from mytorch.plugins.shown import printable
from mytorch.plugins.torch_range import installed_torch, outside_of_range

SHOWN = 80  # characters of what a part prints
SEVERITY = {"ok": 0, "blocked": 0, "slow": 1, "duplicate": 1, "meddling": 2, "incompatible": 2, "broken": 2}
"""The verdicts, and the exit status that each deserves."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found out about one part.

    verdict: a key of SEVERITY;  reason: why, "" if it is ok;  remedy: the command that fixes it;
    advice: what its author should change, though it works.
    """

    part: Part
    verdict: str = "ok"
    reason: str = ""
    remedy: str = ""
    advice: str = ""
    traceback: str = ""
    seconds: float = 0.0


Probe = Callable[[list[Part]], Iterator[Finding]]


def diagnose(offers: Catalogue, probing: Probe = probe) -> Iterator[Diagnosis]:
    """A diagnosis of every part. What is blocked or made for another core is not imported; the rest is, in a child."""
    known = {part: _from_metadata(part) for part in offers}
    probed = [part for part, diagnosis in known.items() if diagnosis.verdict == "ok"]
    findings = probing(probed)
    for diagnosis in known.values():
        if diagnosis.verdict == "ok":
            yield _examined(diagnosis, next(findings), offers)
        else:
            yield diagnosis


def _from_metadata(part: Part) -> Diagnosis:
    if blocked := part.blocked():
        return Diagnosis(part, "blocked", blocked, part.unblock_command(blocked))
    if reason := core_mismatch(part.core_requirement):
        return Diagnosis(part, "incompatible", reason, f"python -m pip install --upgrade {part.distribution}")
    if part.distribution in OWN:
        return Diagnosis(part)
    if part.core_requirement is None:
        return Diagnosis(part, advice="asks for no version of mytorch-core: it should, such as >=0.1,<0.2")
    if not any(mark in part.core_requirement for mark in ("<", "==", "~=")):
        rule = f"asks for mytorch-core {part.core_requirement or 'of any version'}"
        return Diagnosis(part, advice=f"{rule}: it should have an upper bound, such as <0.2")
    return Diagnosis(part)


def _examined(diagnosis: Diagnosis, finding: Finding, offers: Catalogue) -> Diagnosis:
    """The verdict on a part that was imported; the worst counts."""
    part = diagnosis.part
    verdict, reason = _verdict(part, finding, offers)
    remedy = "" if verdict == "ok" else part.remedy
    if part.distribution in OWN and verdict != "ok":
        remedy = install_command("--force-reinstall", part.distribution)
    elif verdict == "duplicate" and not any(other.distribution in OWN for other in offers.same_name(part)):
        remedy = f"mytorch plugins prefer {part.reference}"
    elif verdict in ("duplicate", "meddling", "slow"):
        remedy = f"mytorch plugins block {part.reference}"
    return replace(
        diagnosis,
        verdict=verdict,
        reason=reason,
        remedy=remedy,
        traceback=finding.traceback,
        seconds=finding.seconds,
    )


def _verdict(part: Part, finding: Finding, offers: Catalogue) -> tuple[str, str]:
    if finding.error is not None:
        return "broken", finding.error
    if finding.changed:
        return "meddling", f"changes {', '.join(finding.changed)} when imported"
    if finding.output:
        return "meddling", f"prints when imported: {finding.output.strip()[:SHOWN]!r}"
    if shared := _shared(part, offers):
        return "duplicate", shared
    if finding.seconds > finding.limit:
        return "slow", f"takes {finding.seconds:.1f} s to import, torch not counted, which took {finding.torch:.1f} s"
    return "ok", ""


def _shared(part: Part, offers: Catalogue) -> str:
    """Who else has the name, if it is not this part's alone; the project's own parts always keep theirs."""
    others = [other.reference for other in offers.same_name(part) if other != part and other.blocked() is None]
    if not others or part.distribution in OWN:
        return ""
    try:
        meant = offers.find(part.kind, part.name).reference
    except DuplicateError:
        return f"the name {part.name!r} is also {', '.join(others)}, and means none of them until you choose"
    return "" if meant == part.reference else f"the name {part.name!r} means {meant}; this one is {part.reference!r}"


def unreadable_metadata() -> list[str]:
    """A line for each distribution whose entry points cannot be read: import torch reads those of all, and fails."""
    lines = []
    for distribution in distributions():
        try:
            _ = distribution.entry_points
        except Exception as error:
            where = Path(getattr(distribution, "_path", "a distribution")) / "entry_points.txt"
            lines.append(
                f"{where} must hold lines like 'name = package:attribute', got what cannot be read "
                f"({why_unreadable(error)}); nothing that reads the entry points of all works, "
                "torch among it. Install that distribution again or remove it"
            )
    return lines


def torch_outside_of_range() -> str | None:
    """A line for an installed torch that this project is not tested with."""
    installed = installed_torch()
    return None if installed is None else outside_of_range(installed)


def misspelt_groups() -> list[str]:
    """A line for each group of entry points that looks like one of mytorch's and is none: nobody reads it."""
    lines = []
    for distribution in distributions():
        groups = {entry.group for entry in distribution.entry_points}
        for group in sorted(groups - set(KINDS.values())):
            if group.lower().startswith("mytorch") and (close := closest(group, KINDS.values())):
                owner = distribution.metadata["Name"]
                lines.append(f"{owner}: entry points must be in a known group, got {group!r}. Nearest: {close[0]}")
    return [printable(line) for line in lines]


def foreign_packages() -> list[str]:
    """A line for each `mytorch/__init__.py` on the module path: it hides the parts that lie in other folders."""
    lines = []
    for entry in dict.fromkeys(sys.path):
        file = Path(entry or ".") / "mytorch" / "__init__.py"
        if file.is_file():
            owners = [d.metadata["Name"] for d in distributions(path=[entry]) if _has(d.files, "mytorch/__init__.py")]
            remedy = f"python -m pip uninstall {owners[0]}" if owners else f"remove {file}"
            lines.append(f"{file} of {owners[0] if owners else 'no distribution'} hides parts of mytorch. {remedy}")
    return lines


def _has(files: object, name: str) -> bool:
    return name in map(str, files or ())  # type: ignore[call-overload]
