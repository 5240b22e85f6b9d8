"""What can go wrong with a table."""

from collections.abc import Iterable
from typing import Any

from mytorch.core import MytorchError
from mytorch.plugins import PluginWarning


class TableError(MytorchError, ValueError):
    """A table does not hold what it must; the text names file, row and column, and what would accept it."""


class ReaderError(MytorchError, ImportError):
    """The library that reads tables is absent; the text has the command to install it."""


class TableWarning(PluginWarning):
    """A table holds columns that are not used; the text names them."""


def listed(names: Iterable[Any], most: int = 8) -> str:
    """Names for a message, not all of them where there are many."""
    known = [str(name) for name in names]
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def shown(value: str, most: int = 40) -> str:
    """A cell for a message, on one line and cut if it is long."""
    return repr(value if len(value) <= most else value[: most - 3] + "...")
