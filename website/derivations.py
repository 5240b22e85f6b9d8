"""Pages that derive something: their formulas, which stand in indented lines, are typeset."""

from __future__ import annotations

import re

from formulas import typeset

FENCED = re.compile(r"(?ms)(^```.*?^```$)")
INDENTED = re.compile(r"(?m)(?:(?<=\n\n)|(^#.*\n))((?:^ {4}\S.*\n)+)(?=\n)")
"""Indented lines between empty ones, or below a heading."""


def derivation(page: str) -> str:
    """A page on which every line that is indented is typeset; several formulas in a line are apart."""
    pieces = FENCED.split(page)
    pieces[::2] = [INDENTED.sub(typeset_block, prose) for prose in pieces[::2]]
    return "".join(pieces)


def typeset_block(found: re.Match[str]) -> str:
    lines = [" &emsp; ".join(map(typeset, re.split(r"  +", line.strip()))) for line in found[2].splitlines()]
    heading = f"{found[1]}\n" if found[1] else ""
    return heading + "<br>\n".join(lines) + "\n{: .derivation }\n"
