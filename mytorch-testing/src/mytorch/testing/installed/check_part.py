"""Running every check of a declaration, and telling all that failed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mytorch.plugins import MissingRequirementError, MytorchError, Part
from mytorch.testing.declaration import Declaration
from mytorch.testing.errors import CheckError
from mytorch.testing.installed.declarations import CHECKED, Told, declarations
from mytorch.testing.kit import require_enough
from mytorch.testing.report import Report

_NOTHING = "it has no forward of its own: check what holds it"
"""Why there is nothing to check of a layer."""


@dataclass
class Outcome:
    """What became of one part: lines to print, and whether all is well (None: there is nothing to check)."""

    part: Part
    passed: bool | None = True
    lines: list[str] = field(default_factory=list)


def check_part(part: Part, told: Told) -> Outcome:
    """Run the kit on an installed part; see `declarations` for how it is built and fed."""
    outcome = Outcome(part)
    if part.kind not in CHECKED:
        outcome.passed = None
        outcome.lines.append("the kit has no checks for this kind")
        return outcome
    try:
        for words, declaration in declarations(part, told):
            _run_all(words, declaration, outcome)
        if not outcome.lines:
            outcome.passed = None
            outcome.lines.append(_NOTHING)
    except MissingRequirementError as error:
        outcome.passed = None
        outcome.lines.append(str(error))
    except MytorchError as error:
        outcome.passed = False
        outcome.lines.append(str(error))
    return outcome


def _run_all(words: str, declaration: Declaration, outcome: Outcome) -> None:
    total = Report("", declaration.kit.minimum, declaration.kit.wanted)
    failures: list[str] = []
    for name in declaration.ids:
        try:
            report = declaration.run(name)
        except CheckError as error:
            failures.append(str(error))
        else:
            total.part = report.part
            total.passed += report.passed
            total.skipped |= report.skipped
            total.opted_out |= report.opted_out
            total.remarks |= report.remarks
    try:
        if not failures:
            require_enough(total)
    except CheckError as error:
        failures.append(str(error))
    checks = len(total.passed) + len(total.skipped) + len(total.opted_out)
    said = f"{len(total.passed)} of {checks + len(failures)} checks passed"
    left_out = {"skipped": Counter(total.skipped.values()), "opted out": Counter(total.opted_out.values())}
    told = [f"{count} {word} ({reason})" for word, reasons in left_out.items() for reason, count in reasons.items()]
    failed = [f"{len(failures)} failed"] if failures else []
    outcome.lines.append(f"{words}: {', '.join([said, *failed, *told])}")
    outcome.lines += [f"{words}: {remark}" for remark in dict.fromkeys(total.remarks.values())]
    outcome.lines += failures
    outcome.passed = bool(outcome.passed) and not failures
