"""What the suite found, as files and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import draw
from results import FIGURES, Section, as_json, as_markdown

from mytorch.plugins import write_file


def write(folder: Path, facts: dict[str, Any], sections: Sequence[Section]) -> None:
    """Write results.md, results.json and the figures, over those of a former run."""
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for section in sections:
        if section.rows:
            draw(section, folder / FIGURES / f"{section.name}.png")
    write_file(folder / "results.json", as_json(facts, sections))
    write_file(folder / "results.md", as_markdown(facts, sections))
