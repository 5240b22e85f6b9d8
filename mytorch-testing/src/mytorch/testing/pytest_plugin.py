"""pytest collects a declaration whose name begins with "test" as one test a check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mytorch.testing.declaration import Declaration
from mytorch.testing.errors import CheckError

MARK = "mytorch_check"  # the property by which the summary knows its reports


class DeclarationNode(pytest.Collector):
    """The checks of one declaration."""

    def __init__(self, *, declaration: Declaration, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.declaration = declaration

    def collect(self) -> Iterator[pytest.Item]:
        """One item a check."""
        for name in self.declaration.ids:
            yield CheckItem.from_parent(self, name=name, declaration=self.declaration)


class CheckItem(pytest.Item):
    """One check of a declaration."""

    def __init__(self, *, declaration: Declaration, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.declaration = declaration
        self.user_properties.append((MARK, self.nodeid))

    def runtest(self) -> None:
        """Run it; what says nothing about the part is skipped, what it opted out of is expected to fail."""
        report = self.declaration.run(self.name)
        if report.passed:
            return
        for reason in report.opted_out.values():
            pytest.xfail(reason)
        for reason in report.skipped.values():
            pytest.skip(reason)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The check's own text says all; an error of another kind comes with its traceback."""
        if isinstance(excinfo.value, CheckError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        """Where the declaration stands."""
        parent = self.parent
        assert parent is not None
        return self.path, None, f"{parent.name}::{self.name}"


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


def _is_check(report: Any) -> bool:
    return any(name == MARK for name, _ in getattr(report, "user_properties", ()))
