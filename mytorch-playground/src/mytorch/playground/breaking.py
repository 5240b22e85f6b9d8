"""Experiments that go wrong: each shows one way in which training goes wrong."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mytorch.plugins import parse_toml

FILES = Path(__file__).parent / "experiments_to_break"


@cache
def breaking_experiments() -> list[dict[str, str]]:
    """Each with its title, a paragraph on what is seen, why, and what helps, and the file's text."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(FILES.glob("*.toml"))]
    read = [(parse_toml(text), text) for text in texts]
    return [{"title": file["name"], "text": file["description"], "toml": text} for file, text in read]
