"""Putting the results of a run into the documentation."""

import shutil
from pathlib import Path

from results import FIGURES

from mytorch.plugins import write_file

PAGE = Path(__file__).parents[1] / "docs/performance.md"
BEGIN, END = "<!-- results: written by benchmarks/suite.py --publish -->\n", "<!-- end of results -->\n"


class PublishError(RuntimeError):
    """The results, or their place on the page, are not there."""


def publish(folder: Path, page: Path = PAGE) -> Path:
    """Put results.md between the two marker lines of the page, and the figures beside the page."""
    results = folder / "results.md"
    if not results.is_file():
        raise PublishError(f"{folder}: must hold results.md; run: python benchmarks/suite.py --output {folder}")
    put_between(page, BEGIN, END, results.read_text())
    figures = page.parent / FIGURES
    shutil.rmtree(figures, ignore_errors=True)
    shutil.copytree(folder / FIGURES, figures)
    return page


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands on a page between two marker lines, of which the first comes once."""
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest:
        raise PublishError(f"{page}: must have the lines {begin.strip()!r} and {end.strip()!r} once")
    write_file(page, before + begin + text + end + after)
