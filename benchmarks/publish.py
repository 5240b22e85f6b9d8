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
    results, text = folder / "results.md", page.read_text()
    if not results.is_file():
        raise PublishError(f"{folder}: must hold results.md; run: python benchmarks/suite.py --output {folder}")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise PublishError(f"{page}: must have the lines {BEGIN.strip()!r} and {END.strip()!r} once")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_file(page, before + BEGIN + results.read_text() + END + after)
    figures = page.parent / FIGURES
    shutil.rmtree(figures, ignore_errors=True)
    shutil.copytree(folder / FIGURES, figures)
    return page
