"""A script of the suite that is run alone."""

from collections.abc import Callable

from results import Section
from side_by_side import Report, arguments


def run_alone(sections: Callable[[bool], list[Section]], doc: str | None) -> int:
    """Measure and print, quickly or as JSON if the command line asks for it. Returns 1 if a promise is missed."""
    options = arguments(doc)
    shown, found = Report(options.json), sections(options.quick)
    for section in found:
        names = [row.contestant if row.at is None else f"{row.contestant}, {row.at:g}" for row in section.rows]
        rows = [[name, row.figure.text(0)] for name, row in zip(names, section.rows, strict=True)]
        shown.table(section.title, ["what", section.unit], rows)
        for target in section.targets:
            shown.target(target)
    shown.end()
    return int(not all(target.met for section in found for target in section.targets))
