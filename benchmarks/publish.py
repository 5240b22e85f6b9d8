"""Putting the results of a run into the documentation."""

import shutil
from pathlib import Path

from results import FIGURES

from mytorch.plugins import write_file

PAGE = Path(__file__).parents[1] / "docs/performance.md"
BEGIN, END = "<!-- results: written by benchmarks/suite.py --publish -->\n", "<!-- end of results -->\n"
_HEADING = "\n### "


class PublishError(RuntimeError):
    """The results, or their place on the page, are not there."""


def publish(folder: Path, page: Path = PAGE) -> Path:
    """Put results.md between the two marker lines of the page, and the figures beside the page.

    Results of some sections take the place of these alone, and say themselves when they were measured.
    """
    results, figures = folder / "results.md", page.parent / FIGURES
    if not results.is_file():
        raise PublishError(f"{folder}: must hold results.md; run: python benchmarks/suite.py --output {folder}")
    new, (_, old, _) = results.read_text(encoding="utf-8"), _parted(page, BEGIN, END)
    whole = {*_sections(old)} <= {*_sections(new)}
    if whole:
        shutil.rmtree(figures, ignore_errors=True)
    put_between(page, BEGIN, END, new if whole else _merged(old, new))
    shutil.copytree(folder / FIGURES, figures, dirs_exist_ok=True)
    return page


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands on a page between two marker lines, of which the first comes once."""
    before, _, after = _parted(page, begin, end)
    write_file(page, before + begin + text + end + after)


def _parted(page: Path, begin: str, end: str) -> tuple[str, str, str]:
    """What stands on a page before, between and after two marker lines."""
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    between, closed, after = rest.partition(end)
    if not found or not closed or begin in rest:
        raise PublishError(f"{page}: must have the lines {begin.strip()!r} and {end.strip()!r} once")
    return before, between, after


def _sections(results: str) -> dict[str, str]:
    """The text of each section by its title."""
    found = (section.partition("\n") for section in results.split(_HEADING)[1:])
    return {title: text.strip("\n") for title, _, text in found}


def _merged(old: str, new: str) -> str:
    """The old results with the sections of the new ones, each in its place or after the one that it follows."""
    sections, about, at = list(_sections(old).items()), new.partition("\n")[0], 0
    for title, text in _sections(new).items():
        titles = [other for other, _ in sections]
        if title in titles:
            at = titles.index(title)
            del sections[at]
        sections.insert(at, (title, f"{about}\n\n{text}"))
        at += 1
    return old.partition(_HEADING)[0] + "".join(f"{_HEADING}{title}\n{text}\n" for title, text in sections)
