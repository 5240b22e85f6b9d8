"""The history of a run while it is written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import ENOSPC
from io import FileIO
from pathlib import Path

from mytorch.train.errors import RunError


class HistoryFile:
    """A line an epoch below the names of the columns, each in the file at once, so that a killed run keeps it.

    The file is made with the first line, and stays open: to open one takes as long as a step of a small network.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns
        self._file: FileIO | None = None
        self._size = 0

    def add(self, record: Mapping[str, float]) -> None:
        """Write a line. Raises RunError, without half a line in the file, if it cannot be written whole."""
        line = ",".join(str(record.get(column, "")) for column in self.columns) + "\n"  # numbers: nothing to quote
        if not self._size:
            line = f"{','.join(self.columns)}\n{line}"
        try:
            if self._file is None:
                self._file = FileIO(self.path, "ab")
            written = self._file.write(line.encode())
            if written < len(line):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, self._size)
            raise RunError(f"{self.path}: must be writable, got {error}") from error
        self._size += written

    def close(self) -> None:
        """Let go of the file; a line that is added later opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None
