"""How a text file is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mytorch.core import ArgumentError
from mytorch.plugins import nearest


@dataclass(frozen=True)
class Reading:
    """What must be known to read a text file. A .tsv file is split at tabs unless another delimiter is asked for."""

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True

    def __post_init__(self) -> None:
        """Raise ArgumentError for what no reader could use."""
        if len(self.delimiter) != 1 or not self.delimiter.isascii() or self.delimiter in '"\r\n\0':
            raise ArgumentError(
                f"Table: delimiter must be one ASCII character such as ',', ';' or a tab, got {self.delimiter!r}"
            )
        if self.decimal not in (".", ","):
            raise ArgumentError(f"Table: decimal must be '.' or ',', got {self.decimal!r}")
        if self.decimal == self.delimiter:
            raise ArgumentError(
                f"Table: decimal and delimiter must differ, got {self.decimal!r} for both; "
                "a file with decimal commas usually has delimiter = ';'"
            )
        try:
            "a".encode(self.encoding).decode(self.encoding)
        except (LookupError, UnicodeError, ValueError):
            known = ("utf-8", "utf-16", "latin-1", "cp1252", "ascii")
            raise ArgumentError(
                f"Table: encoding must be one that Python knows, such as {', '.join(known)}, got {self.encoding!r}. "
                f"{nearest(self.encoding, known)}"
            ) from None

    def changed(self, given: Reading) -> Reading:
        """This one with what another says that is not the default."""
        other = {name: value for name, value in asdict(given).items() if value != getattr(Reading, name)}
        return Reading(**{**asdict(self), **other})

    def to_json(self) -> dict[str, Any]:
        """As a run keeps it."""
        return asdict(self)
