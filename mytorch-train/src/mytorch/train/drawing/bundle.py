"""The scripts and the style of a drawing, for a page that is served and for one that is a single file."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent / "page"
"""ES modules that import each other, and the style sheet."""


def bundle(*names: str) -> str:
    """Modules of `PAGE` as the text of one script, which needs nothing beside it.

    names: files, each after those that it imports. All names at the top of the modules are names of the one script.
    """
    texts = [(PAGE / name).read_text(encoding="utf-8") for name in names]
    return "\n".join(re.sub(r"(?m)^import .*$\n|^export (?=\w)", "", text) for text in texts)
