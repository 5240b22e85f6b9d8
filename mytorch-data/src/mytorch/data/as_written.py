"""Text in a figure as it stands: names of users may hold any character."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def as_written(figure: Figure) -> Iterator[None]:
    """Within this context, a figure is drawn with every text as it stands: a dollar sign begins no formula, and what
    the font has no sign for is a box, without a warning.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with rc_context({"text.parse_math": False}), warnings.catch_warnings():  # of the labels that drawing makes
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        yield
