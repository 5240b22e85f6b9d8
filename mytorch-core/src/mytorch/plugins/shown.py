"""Values, names and other programs' errors as messages show them: on one line, of sensible length, and harmless."""

import re
import reprlib
from collections.abc import Collection
from itertools import islice
from typing import Any

WIDTH = 200
"""Characters of a value: more are not read."""
REASON = 400
"""Characters of an error that somebody else raised."""
NAMES = 30
"""Names that a sentence lists."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which a terminal obeys, marks that turn the text around, and what no encoding can write."""
_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")


class _Short(reprlib.Repr):
    """repr, without walking through what is not shown."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxarray = 10
        self.maxdict = 10
        self.maxstring = self.maxother = self.maxlong = WIDTH

    def repr_int(self, x: int, level: int) -> str:
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python writes out no number of more than some thousand digits
            return f"a whole number of {x.bit_length()} bits"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        pieces = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in islice(x, self.maxdict)]
        return f"{{{', '.join([*pieces, *['...'] * (len(x) > self.maxdict)])}}}"


_short = _Short()


def counted(count: int, noun: str) -> str:
    """A number of things, with the plural of its noun unless it is 1.

    Example:
        >>> from mytorch.plugins import counted
        >>> counted(1, "row"), counted(2, "row")
        ('1 row', '2 rows')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def shown(value: object, width: int = WIDTH) -> str:
    """The repr of a value for a message: on one line, in at most `width` characters, whatever the value is.

    Example:
        >>> from mytorch.plugins import shown
        >>> shown("lr")
        "'lr'"
        >>> shown([0] * 1_000_000)
        '[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...]'
    """
    try:
        text = _short.repr(value)
    except Exception:  # a stranger's object may fail even here
        text = f"a {type(value).__name__}"
    return cut(text, width)


def one_line(error: BaseException, width: int = REASON) -> str:
    """The text of an error on one line, in at most `width` characters; its type if it has no text."""
    try:
        text = str(error)
    except Exception:  # a stranger's error may fail even here
        text = ""
    return cut(text, width) or type(error).__name__


def cut(text: str, width: int) -> str:
    """A text on one line, in at most `width` characters, of which the middle is left out if there are more."""
    if len(text) > 8 * width:
        text = text[: 4 * width] + text[-4 * width :]
    line = printable(_LINE_BREAK.sub(" ", text.strip()))
    if len(line) <= width:
        return line
    ending = (width - 3) // 3
    return f"{line[: width - 3 - ending]}...{line[-ending:]}"


def printable(text: str) -> str:
    """A text whose control characters are written out, such as \\x1b: a terminal would obey them."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def listed(names: Collection[str], most: int = NAMES) -> str:
    """Names as a sentence lists them: "a, b and 7 more"."""
    told = ", ".join(printable(name if len(name) <= WIDTH else cut(name, WIDTH)) for name in list(names)[:most])
    return f"{told} and {len(names) - most} more" if len(names) > most else told
