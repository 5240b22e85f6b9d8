"""Running the checks of one kind of part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mytorch.core import ArgumentError, random_state
from mytorch.plugins import UnknownNameError, nearest
from mytorch.testing.errors import TRIED, CheckError, Skip
from mytorch.testing.report import Report

Check = Callable[[Any], str | None]
"""A function of one case that raises CheckError for a fault, and Skip where it says nothing about the part.

It may return a remark: what it left out.
"""


SLOW = frozenset({"full_jacobian", "traceable"})
"""The checks that take two thirds of the time; pytest leaves them out with `-m "not slow"`."""


@dataclass(frozen=True)
class Kit:
    """The checks of one kind of part.

    name: what users call to run it, such as "check_layer"
    minimum: how many different checks must pass at least; fewer mean that the part was hardly looked at
    tags: what an author may say of a part, with its meaning
    wanted: checks of which one must pass, or the heart of the matter was not looked at
    """

    name: str
    checks: tuple[Check, ...]
    minimum: int
    tags: Mapping[str, str] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()

    def given(self, reference: object) -> Kit:
        """This kit, without the check against a reference if none is named."""
        return self if reference is not None else self.without("reference")

    def without(self, *names: str) -> Kit:
        """This kit without some of its checks."""
        return replace(self, checks=tuple(check for check in self.checks if check.__name__ not in names))

    def require_known(self, what: str, names: Iterable[str], known: Iterable[str]) -> None:
        """Raise UnknownNameError for a name that is not known."""
        known = list(known)
        for name in names:
            if name not in known:
                raise UnknownNameError(f"{self.name}: unknown {what} {name!r}. {nearest(name, known)}")

    def run(
        self,
        part: Callable[[], str],
        cases: Mapping[str, Any],
        reproduce: Callable[[str, str], str],
        checks: Iterable[str] | None = None,
        opt_out: Mapping[str, str] | None = None,
        explain: Callable[[str, Any], str] | None = None,
    ) -> Report:
        """Run the wanted checks on each case.

        part: gives the name of the part in messages;  cases: by mode, "" where there are no modes
        reproduce: gives, for a mode and a check, the call that shows a failure again
        explain: gives, for a check that failed and its case, what else its author may want to know
        """
        chosen, opt_out = self._choose(checks), dict(opt_out or {})
        self.require_known("check", opt_out, [check.__name__ for check in self.checks])
        with random_state(), torch.inference_mode(False), torch.no_grad():
            report = Report(part(), self.minimum if checks is None else 0, self.wanted)
            for mode, case in cases.items():
                for check in chosen:
                    _run_one(check, case, mode, report, opt_out, reproduce, explain)
        _require_failures(report, opt_out, chosen)
        require_enough(report)
        return report

    def _choose(self, names: Iterable[str] | None) -> list[Check]:
        known = {check.__name__: check for check in self.checks}
        if names is None:
            return list(self.checks)
        names = list(names)
        if not names:
            raise ArgumentError(f"{self.name}: checks must name at least one check, got none")
        self.require_known("check", names, known)
        return [known[name] for name in names]


def identity(mode: str, check: str) -> str:
    """The name of a check in a mode."""
    return f"{mode}/{check}" if mode else check


def on_one_line(part: object) -> str:
    """How a part shows itself, without line breaks."""
    return " ".join(repr(part).split())


def require_factory(kit: str, factory: object, instance_of: type, shown: str) -> None:
    """Raise ArgumentError for an object where a function that builds it is wanted."""
    if isinstance(factory, instance_of) or not callable(factory):
        raise ArgumentError(
            f"{kit}: factory must build a new one at each call, got {on_one_line(factory)}; write {shown}"
        )


def require_enough(report: Report) -> None:
    """Raise CheckError if hardly any check had something to say."""
    if report.different < report.minimum:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.skipped.items())
        raise CheckError(
            f"{report.part}: at least {report.minimum} different checks must pass, got {report.different}; "
            f"give it inputs that more of them can use ({reasons})"
        )
    passed = {name.rpartition("/")[2] for name in report.passed}
    if report.minimum and report.wanted and not passed & report.wanted:
        raise CheckError(
            f"{report.part}: one of {', '.join(sorted(report.wanted))} must pass, got none: no gradient was judged; "
            "give it other inputs, or name a reference"
        )


def _run_one(
    check: Check,
    case: Any,
    mode: str,
    report: Report,
    opt_out: Mapping[str, str],
    reproduce: Callable[[str, str], str],
    explain: Callable[[str, Any], str] | None,
) -> None:
    name = check.__name__
    try:
        remark = check(case)
    except Skip as reason:
        report.skipped[identity(mode, name)] = str(reason)
    except Exception as error:
        if name in opt_out:
            report.opted_out[identity(mode, name)] = opt_out[name]
            return
        said = str(error) if isinstance(error, CheckError) else _raised(error)
        said += explain(name, case) if explain else ""
        raise CheckError(f"{report.part}: {name}: {said}\n  reproduce: {reproduce(mode, name)}") from (
            error.__cause__ if isinstance(error, CheckError) else error
        )
    else:
        report.passed.append(identity(mode, name))
        if remark:
            report.remarks[identity(mode, name)] = remark


def _raised(error: Exception) -> str:
    """What the part was asked for when it raised, and what it raised."""
    notes = getattr(error, "__notes__", [])
    tried = next((note.removeprefix(TRIED) for note in notes if note.startswith(TRIED)), "the part")
    others = "".join(f" ({note})" for note in notes if not note.startswith(TRIED))
    return f"{tried} must not raise, got {type(error).__name__}: {error}{others}"


def _require_failures(report: Report, opt_out: Mapping[str, str], chosen: list[Check]) -> None:
    """An opt-out that nothing needs hides the next mistake."""
    needed = {name.rpartition("/")[2] for name in report.opted_out}
    for check in chosen:
        name = check.__name__
        if name in opt_out and name not in needed:
            skipped = [reason for full, reason in report.skipped.items() if full.rpartition("/")[2] == name]
            got = f"is skipped ({skipped[0]})" if skipped else "passes"
            rule = f"must fail, since it is opted out of ({opt_out[name]})"
            raise CheckError(f"{report.part}: {name} {rule}, but it {got}: remove the opt-out")
