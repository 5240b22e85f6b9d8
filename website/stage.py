"""Writes what the site is built from into the folder .site: pages, assets and the configuration.

python website/stage.py [--versions]

Then `zensical build -f .site/mkdocs.yml` builds the site into .site/html; `mkdocs build` with the same options does so
with Material for MkDocs. With --versions the pages offer a choice among versions, which mike keeps beside each other.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from derivations import derivation
from pages import images, written_pages
from reference import layer_index, reference

HOUSE = Path(__file__).parents[1]
SITE = HOUSE / ".site"
PAGES = SITE / "pages"


def stage(versions: bool) -> None:
    texts, nav = reference()
    derived = [file.relative_to(HOUSE / "docs").as_posix() for file in HOUSE.glob("docs/backpropagation/*.md")]
    written = written_pages({"layers.md": layer_index, **dict.fromkeys(["backpropagation.md", *derived], derivation)})
    texts |= written
    shutil.rmtree(PAGES, ignore_errors=True)
    for page, text in texts.items():
        write(PAGES / page, text)
    for file, place in images():
        (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, PAGES / place)
    shutil.copytree(HOUSE / "website/assets", PAGES / "assets")
    write(SITE / "mkdocs.yml", yaml.safe_dump(configuration(nav, written, versions), sort_keys=False, width=119))
    print(f"Wrote {len(texts)} pages to {PAGES.relative_to(HOUSE)}")


def configuration(nav: list[Any], written: Iterable[str], versions: bool) -> dict[str, Any]:
    """That of website/mkdocs.yml, with the folders of sources, the reference, and pages that it does not list yet."""
    settings: dict[str, Any] = yaml.safe_load((HOUSE / "website/mkdocs.yml").read_text())
    plugin = next(plugin["mkdocstrings"] for plugin in settings["plugins"] if "mkdocstrings" in plugin)
    plugin["custom_templates"] = str(HOUSE / "website/templates")
    plugin["handlers"]["python"]["paths"] = [f"../{home.name}/src" for home in sorted(HOUSE.glob("mytorch-*"))]
    section = {name: entries for entry in settings["nav"] for name, entries in entry.items()}
    section["Reference"].extend(nav)
    listed = str(settings["nav"])
    section["How-to guides"].extend(page for page in written if f"'{page}'" not in listed and "source/" not in page)
    if versions:
        settings["extra"]["version"] = {"provider": "mike"}
    return settings


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    stage("--versions" in sys.argv[1:])
