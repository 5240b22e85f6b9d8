"""Figures that may fail: a picture less is no reason to end a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mytorch.plugins import MytorchWarning, one_line


class FigureWarning(MytorchWarning):
    """A figure could not be drawn; the text says which and why."""


@contextmanager
def attempt(what: str, *but: type[Exception]) -> Iterator[None]:
    """Within this context, what drawing raises becomes a line.

    what: is drawn, such as "the figure loss.png";  but: errors that are raised as they are.
    """
    try:
        yield
    except but:
        raise
    except Exception as error:  # whatever the library that draws makes of somebody's data
        told = f"{what} could not be drawn ({type(error).__name__}: {one_line(error)}); everything else is there"
        warnings.warn(told, FigureWarning, stacklevel=4)
