"""The written pages: the repository's Markdown files as pages of the site, with links that hold there.

A file keeps its place and its text, so that it can be read on a code host as well. Here its headings get the anchors
that a code host gives them, and a link to a source file leads to a page that shows it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

HOUSE = Path(__file__).parents[1]
LANGUAGES = {".py": "python", ".toml": "toml", ".ini": "ini", ".ipynb": "json", ".yml": "yaml"}
README_PAGES = {
    "get-started.md": ("Get started", ["Two commands", "Ten lines of Python"]),
    "command-line.md": ("The command line", ["A tour of the command line"]),
    "distributions.md": ("Distributions", ["Repository layout"]),
    "entry-points.md": ("Entry points and events", ["Why parts use entry points and events use pluggy"]),
    "report.md": ("From the report to this repository", ["From the report to this repository"]),
    "performance.md": ("", ["Speed"]),
    "index.md": ("", ["More"]),
}
"""Pages that are sections of README.md, with their titles; those without one are written elsewhere."""


def written_pages(changes: Mapping[str, Callable[[str], str]]) -> dict[str, str]:
    """The text of every page by its path in the site; `changes` are made to pages before their links are."""
    site = Site()
    found = {}
    for file, page in site.page_of.items():
        text = changes.get(page, str)((HOUSE / file).read_text())
        text = notebook(text) if file.suffix == ".ipynb" else text
        found[page] = site.linked(with_anchors(with_lists(text)), file, page)
    for page, text in site.sections_of_readme():
        found[page] = site.linked(with_anchors(with_lists(text)), PurePosixPath("README.md"), page)
    return found | {site.source_of[file]: source_page(file) for file in list(site.source_of)}


def images() -> Iterator[tuple[Path, str]]:
    """Every image of docs with its path in the site."""
    for file in sorted((HOUSE / "docs").rglob("*.png")):
        yield file, file.relative_to(HOUSE / "docs").as_posix()


def tracked() -> list[PurePosixPath]:
    """The files of the repository, without what is made in it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=HOUSE, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return sorted(PurePosixPath(line) for line in listed.stdout.splitlines() if (HOUSE / line).is_file())


class Site:
    """Where each file of the repository is found in the site."""

    def __init__(self) -> None:
        self.page_of = {file: page for file in tracked() if (page := page_for(file))}
        self.source_of: dict[PurePosixPath, str] = {}

    def sections_of_readme(self) -> Iterator[tuple[str, str]]:
        _, *sections = re.split(r"(?m)^## ", (HOUSE / "README.md").read_text())
        by_title = {section.partition("\n")[0]: section for section in sections}
        missing = {title for _, titles in README_PAGES.values() for title in titles} - by_title.keys()
        if missing:
            raise SystemExit(f"website/pages.py: README_PAGES must name sections of README.md, got {missing}")
        for page, (title, titles) in README_PAGES.items():
            if len(titles) > 1:
                yield page, f"# {title}\n" + "".join(f"## {by_title[name]}" for name in titles)
            elif title:
                yield page, f"# {title}\n" + by_title[titles[0]].partition("\n")[2]

    def linked(self, text: str, file: PurePosixPath, page: str) -> str:
        """A text with every link to a file of the repository replaced by one to its page."""

        def replaced(found: re.Match[str]) -> str:
            return f"]({self.target(found[1], file, page)})"

        return outside_code(text, lambda prose: re.sub(r"\]\(((?!https?:|mailto:)[^)\s]+)\)", replaced, prose))

    def target(self, link: str, file: PurePosixPath, page: str) -> str:
        path, _, anchor = link.partition("#")
        if not path and file.name != "README.md":
            return link
        to = PurePosixPath(os.path.normpath(file.parent / path)) if path else file
        if to == PurePosixPath("README.md"):
            place, anchor = in_readme(anchor)
        elif to in self.page_of:
            place = self.page_of[to]
        elif to.suffix == ".png":
            place = to.relative_to("docs").as_posix()
        elif (HOUSE / to / "README.md").is_file():
            place = self.page_of[to / "README.md"]
        else:
            visible = "/".join(part.lstrip(".") for part in to.parts)  # generators leave hidden folders out
            place = self.source_of.setdefault(to, f"source/{visible}.md")
        relative = os.path.relpath(place, PurePosixPath(page).parent)
        return f"{relative}#{anchor}" if anchor else relative


def page_for(file: PurePosixPath) -> str | None:
    """The page of a file; None for what is shown only if a page links to it."""
    parent, name = file.parent.as_posix(), file.name
    if file.suffix == ".ipynb" and parent == "examples":
        return f"{file.stem}-notebook.md"
    if file.suffix != ".md" or file == PurePosixPath("README.md"):
        return None
    if parent == "website":
        return "index.md" if name == "home.md" else None
    if parent == ".":
        return f"{file.stem.lower()}.md"
    if parent == "docs" or parent.startswith("docs/"):
        return file.relative_to("docs").as_posix()
    if name == "README.md":
        return f"distributions/{parent}.md" if parent.startswith("mytorch-") else f"{parent}.md"
    return None


def in_readme(anchor: str) -> tuple[str, str]:
    """The page of a section of README.md, and the anchor there: none where the section is the whole page."""
    for page, (title, titles) in README_PAGES.items():
        if anchor in map(slug, titles):
            return page, anchor if title and len(titles) > 1 else ""
    return "index.md", ""


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def with_anchors(text: str) -> str:
    seen: dict[str, int] = {}

    def anchored(found: re.Match[str]) -> str:
        anchor = slug(found[2])
        seen[anchor] = seen.get(anchor, -1) + 1
        return f"{found[1]} {found[2]} {{ #{anchor}{f'-{seen[anchor]}' if seen[anchor] else ''} }}"

    return outside_code(text, lambda prose: re.sub(r"(?m)^(#+) (.*)$", anchored, prose))


def with_lists(text: str) -> str:
    """A list directly below a fenced block is one on a code host; the generators want a blank line before it."""
    pieces = re.split(r"(?ms)(^```.*?^```$)", text)
    return "".join(re.sub(r"\A\n(?=- |\d+\. )", "\n\n", piece) for piece in pieces)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change a text, but neither its fenced blocks nor what is between backticks."""
    pieces = re.split(r"(?ms)(^ *```.*?^ *```$|`[^`\n]+`)", text)
    pieces[::2] = [change(piece) for piece in pieces[::2]]
    return "".join(pieces)


def source_page(file: PurePosixPath) -> str:
    """A page that shows a file of the repository, or the names of the files in a folder. Search leaves it out."""
    head = f"---\ntitle: {file.name}\nsearch:\n  exclude: true\n---\n\n# {file}\n\n"
    if (HOUSE / file).is_dir():
        inside = [path for path in tracked() if file in path.parents]
        return head + "\n".join(f"- `{path.relative_to(file)}`" for path in inside) + "\n"
    return f"{head}````{LANGUAGES.get(file.suffix, 'text')}\n{(HOUSE / file).read_text()}````\n"


def notebook(text: str) -> str:
    """A notebook as Markdown: its texts and its code."""
    cells = [("".join(cell["source"]), cell["cell_type"]) for cell in json.loads(text)["cells"]]
    return "\n\n".join(source if kind == "markdown" else f"```python\n{source}\n```" for source, kind in cells) + "\n"
