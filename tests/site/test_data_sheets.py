"""Docstrings become Markdown: rows, arguments, examples and links."""

import pytest

pytest.importorskip("griffe", reason="griffe comes with mkdocstrings; tox -e docs")

import griffe
from data_sheets import DataSheets, markdown

SHEET = """Multiply each channel by a gain, which is `learned_of` *nothing*.

    Forward:   y = gain * x;  n = 0
    Shapes:    x, y: (..., dim);
               gain: (dim,)
    Raises:    ShapeError for another last axis or d_y; the line is as long as a source's may be, which breaks it
               everywhere

    Example:
        >>> Scale(2)
        Scale(dim=2)

        >>> 1
    """


def test_a_data_sheet_becomes_a_list_of_definitions():
    shown = markdown(SHEET).replace(r"\displaystyle ", "")
    assert shown.split("\n\n") == [
        r"Multiply each channel by a gain, which is `learned_of` \*nothing\*.",
        "Forward\n:   \\(y = \\mathrm{gain} \\cdot x\\);<br>\n    \\(n = 0\\)",
        "Shapes\n:   x, y: (..., dim);<br>\n    gain: (dim,)",
        "Raises\n:   [`ShapeError`][mytorch.core.ShapeError] for another last axis or `d_y`; the line is as long as a "
        "source's may be, which breaks it everywhere",
        "**Example**",
        "```pycon\n>>> Scale(2)\nScale(dim=2)",
        ">>> 1\n```",
    ]


def test_what_is_said_of_arguments_becomes_a_list_of_definitions():
    text = "Train.\n\nseed, epochs: numbers,\n    of any size.\nother: no argument.\nRaises ArgumentError."
    assert markdown(text, {"seed", "epochs"}).split("\n\n") == [
        "Train.",
        "`seed, epochs`\n:   numbers, of any size.",
        "other: no argument.\nRaises [`ArgumentError`][mytorch.core.ArgumentError].",
    ]


def test_a_summary_with_a_colon_is_no_row():
    assert markdown("Adam: steps.\n\nStep:   g = d_p\n").startswith("Adam: steps.\n\nStep\n: ")


FAMILY = """
class _Body:
    '''Scale.

    Forward:   y = gain * x
    '''

class Public:
    '''Of its own page.'''

class Line(_Body):
    dimensions = 1

class Plane(_Body):
    '''Its own words.'''

class Solid(Public):
    dimensions = 3
"""


def test_a_class_without_a_docstring_shows_that_of_the_body_it_shares(tmp_path):
    (tmp_path / "family.py").write_text(FAMILY)
    family = griffe.load("family", search_paths=[tmp_path], extensions=griffe.load_extensions(DataSheets))
    assert family["Line"].docstring.value == family["_Body"].docstring.value
    assert family["Line"].docstring.value.startswith("Scale.\n\nForward\n:   \\(")
    assert family["Plane"].docstring.value == "Its own words."
    assert family["Solid"].docstring is None
