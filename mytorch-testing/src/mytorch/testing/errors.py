"""What a failed check raises, and what is said of an exception of the part itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mytorch.core import MytorchError

TRIED = "tried: "
"""With which the note begins that says what the kit asked of a part when it raised."""


class CheckError(MytorchError, AssertionError):
    """A part breaks its contract; the text names the check, the tensor and the difference, and how to reproduce it."""


class Skip(Exception):
    """A check that says nothing about this part; the text says why."""


@contextmanager
def tried(what: Callable[[], str]) -> Iterator[None]:
    """Let an exception of the part tell what was asked of it."""
    try:
        yield
    except CheckError:
        raise
    except Exception as error:
        error.add_note(TRIED + what())
        raise
