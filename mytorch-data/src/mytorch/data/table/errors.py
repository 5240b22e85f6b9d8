"""What can go wrong with a table."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mytorch.core import ArgumentError, MytorchError
from mytorch.plugins import MytorchWarning
from mytorch.plugins import cut as cut_to
from mytorch.plugins import listed as list_names
from mytorch.plugins import shown as show_in

_BARE = re.compile(r"[A-Za-z0-9_-]{1,40}")
SHORT = 40
"""Letters of a cell or a name that a message repeats."""
LONGEST = 200
"""Letters of another library's message, or of a path, that a message repeats."""


class TableError(MytorchError, ValueError):
    """A table, a text or a file of arrays does not hold what it must; the text names the place and the way out."""


class ReaderError(MytorchError, ImportError):
    """The library that reads a file is absent; the text has the command to install it."""


class TableWarning(MytorchWarning):
    """A table holds columns that are not used, or categories that are not known; the text names them."""


def listed(names: Iterable[Any], most: int = 8) -> str:
    """Names for a message, not all of them where there are many, and none that is too long to be read."""
    return list_names([cut(str(name)) for name in names], most)


def shown(value: object) -> str:
    """A cell or a name for a message."""
    return show_in(value, SHORT)


def cut(text: str) -> str:
    """A text for a message, without quotes."""
    return cut_to(text, SHORT)


def as_toml(value: Any) -> str:
    """The value of an option as an experiment file has it, with long texts cut."""
    if isinstance(value, Mapping):
        entries = [f"{name if _BARE.fullmatch(name) else as_toml(name)} = {as_toml(of)}" for name, of in value.items()]
        return f"{{ {', '.join(entries)} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(cut(value), ensure_ascii=False)


def told(error: BaseException) -> str:
    """The first line of another library's message, cut if it is long."""
    return cut_to((str(error).splitlines() or [type(error).__name__])[0], LONGEST)


@contextmanager
def naming(path: object) -> Iterator[None]:
    """Within this context, an error about an option names the file that it was given for."""
    try:
        yield
    except ArgumentError as error:
        text = str(error)
        if str(path) in text:
            raise
        raise ArgumentError(f"{cut_to(str(path), LONGEST)}: {text.removeprefix('Table: ')}") from None
