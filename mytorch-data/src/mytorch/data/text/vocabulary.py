"""Between texts and the tokens of a model: characters and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mytorch.data.table.errors import shown

Ids = npt.NDArray[np.integer[Any]]
SHOWN = 5
"""Unknown characters that a message names."""


class Vocabulary(Protocol):
    """The tokens of a model, from 0.

    names: what each is called, () if none.
    """

    names: tuple[str, ...]

    def encode(self, text: str) -> Ids:
        """The tokens of a text all of whose characters are known."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens. What is no whole character is U+FFFD."""

    def unknown(self, text: str) -> str:
        """The characters that no token stands for, for a message; "" if every one is known."""

    def to_json(self) -> Any:
        """What a preparation keeps of it."""


class Characters:
    """A token for each of some characters, in the order of Unicode."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.names = tuple(name if name.isprintable() and not name.isspace() else repr(name) for name in characters)
        codes = _codes(characters)
        self._table = np.full(int(codes.max()) + 2, -1, np.int32)  # the last is for all that follow
        self._table[codes] = np.arange(len(codes))

    @classmethod
    def of(cls, text: str) -> Characters:
        """Those of a text."""
        seen = np.bincount(_codes(text)).nonzero()[0]
        return cls("".join(map(chr, seen.tolist())))

    def encode(self, text: str) -> Ids:
        return self._table[np.minimum(_codes(text), len(self._table) - 1)]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.characters[index] for index in ids)

    def unknown(self, text: str) -> str:
        codes = _codes(text)
        strange = codes[self._table[np.minimum(codes, len(self._table) - 1)] < 0]
        if not len(strange):
            return ""
        counts = Counter(map(chr, strange.tolist())).most_common()
        told = ", ".join(f"{shown(character)} {_times(count)}" for character, count in counts[:SHOWN])
        more = f" and {len(counts) - SHOWN} others" if len(counts) > SHOWN else ""
        return f"{len(counts)} that {'is' if len(counts) == 1 else 'are'} not: {told}{more}"

    def to_json(self) -> str:
        return self.characters


class Bytes:
    """A token for each byte; texts are in UTF-8."""

    def __init__(self) -> None:
        self.names = tuple(chr(byte) if 0x21 <= byte < 0x7F else f"0x{byte:02x}" for byte in range(256))

    def encode(self, text: str) -> Ids:
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(ids).decode("utf-8", errors="replace")

    def unknown(self, text: str) -> str:  # noqa: ARG002
        return ""

    def to_json(self) -> None:
        return None


def _codes(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
