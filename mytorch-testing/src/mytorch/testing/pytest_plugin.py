"""pytest collects a declaration whose name begins with "test" as one test a check."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mytorch.testing.declaration import Declaration
from mytorch.testing.errors import CheckError
from mytorch.testing.kit import SLOW, require_enough
from mytorch.testing.report import Report

MARK = "mytorch_check"  # the property by which the summary knows its reports


class DeclarationNode(pytest.Collector):
    """The checks of one declaration."""

    def __init__(self, *, declaration: Declaration, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.declaration = declaration
        self.reports: list[Report] = []

    def collect(self) -> Iterator[pytest.Item]:
        """One item a check, and one that asks whether enough of them had something to say."""
        for name in self.declaration.ids:
            yield CheckItem.from_parent(self, name=name)
        yield MinimumItem.from_parent(self, name="minimum")


class _Item(pytest.Item):
    """A test of a declaration."""

    @property
    def of(self) -> DeclarationNode:
        """The declaration's node."""
        assert isinstance(self.parent, DeclarationNode)
        return self.parent

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The check's own text; what the part itself raised comes with its traceback, from where it left the kit."""
        if not isinstance(excinfo.value, CheckError):
            return super().repr_failure(excinfo, style)
        cause = excinfo.value.__cause__
        if cause is None or isinstance(cause, CheckError):
            return str(excinfo.value)
        frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if not _is_of_the_kit(frame.filename)]
        return "".join([f"{excinfo.value}\n", *traceback.format_list(frames), *traceback.format_exception_only(cause)])

    def reportinfo(self) -> tuple[Any, None, str]:
        """Where the declaration stands."""
        return self.path, None, f"{self.of.name}::{self.name}"


class CheckItem(_Item):
    """One check of a declaration."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.user_properties.append((MARK, self.nodeid))
        if self.name.rpartition("/")[2] in SLOW:
            self.add_marker("slow")

    def runtest(self) -> None:
        """Run it; what says nothing about the part is skipped, what it opted out of is expected to fail."""
        report = self.of.declaration.run(self.name)
        self.of.reports.append(report)
        for reason in report.opted_out.values():
            pytest.xfail(reason)
        for remark in report.remarks.values():
            self.add_report_section("call", "remark", remark)
        if report.passed:
            return
        for reason in report.skipped.values():
            pytest.skip(reason)


class MinimumItem(_Item):
    """Whether as many checks passed as the kind of part asks for: skips alone are no success."""

    def runtest(self) -> None:
        """Count what the other tests of the declaration found; with some left out it says nothing."""
        node = self.of
        if len(node.reports) < len(node.declaration.ids):
            pytest.skip("not every check of the declaration ran and came to its end")
        total = Report(node.reports[0].part, node.declaration.kit.minimum, node.declaration.kit.wanted)
        for report in node.reports:
            total.passed += report.passed
            total.skipped |= report.skipped
        require_enough(total)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark of slow checks known."""
    config.addinivalue_line("markers", 'slow: takes long; -m "not slow" leaves it out')


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> DeclarationNode | None:
    """Take a declaration; leave everything else to pytest."""
    if isinstance(obj, Declaration) and name.startswith("test"):
        return DeclarationNode.from_parent(collector, name=name, declaration=obj)
    return None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many checks ran, of how many."""
    counts = {
        what: sum(_is_check(report) for report in terminalreporter.stats.get(outcome, ()))
        for outcome, what in {
            "passed": "passed",
            "failed": "failed",
            "xfailed": "opted out",
            "skipped": "skipped",
        }.items()
    }
    if total := sum(counts.values()):
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        terminalreporter.write_line(f"conformance: {told}, of {total} checks")


def _is_of_the_kit(filename: str) -> bool:
    return Path(filename).is_relative_to(Path(__file__).parent) or "contextlib" in Path(filename).name


def _is_check(report: Any) -> bool:
    return any(name == MARK for name, _ in getattr(report, "user_properties", ()))
