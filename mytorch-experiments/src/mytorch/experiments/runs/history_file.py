"""The history of a run while it is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from errno import ENOSPC
from io import FileIO
from pathlib import Path

from mytorch.plugins import FileError, write_file


class HistoryFile:
    """A line an epoch below the names of the columns, each in the file at once, so that a killed run keeps it.

    The file is made with the first line, and stays open: to open one takes as long as a step of a small network.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns
        self._file: FileIO | None = None

    def add(self, record: Mapping[str, float]) -> None:
        """Write a line. Raises FileError, without half a line in the file, if it cannot be written whole."""
        line, size = self._line(record), 0
        try:
            file, size = self._opened()
            whole = line if size else f"{','.join(self.columns)}\n{line}"
            if file.write(whole.encode()) < len(whole):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, size)
            raise FileError(f"{self.path}: must be writable, got {error.strerror or error}") from error

    def rewrite(self, records: Iterable[Mapping[str, float]]) -> int:
        """Make these the lines of the file. Returns how many lines it had before. Raises FileError."""
        self.close()
        try:
            before = max(len(self.path.read_bytes().splitlines()) - 1, 0) if self.path.is_file() else 0
        except OSError as error:
            raise FileError(f"{self.path}: must be readable, got {error.strerror or error}") from error
        lines = [self._line(record) for record in records]
        if lines:
            write_file(self.path, "".join([",".join(self.columns) + "\n", *lines]))
        elif before:
            self.path.unlink()
        return before

    def flush(self) -> None:
        """Wait until the lines are on the disk. Raises FileError."""
        try:
            if self._file is not None:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise FileError(f"{self.path}: must be writable, got {error.strerror or error}") from error

    def _line(self, record: Mapping[str, float]) -> str:
        return ",".join(str(record.get(column, "")) for column in self.columns) + "\n"  # numbers: nothing to quote

    def _opened(self) -> tuple[FileIO, int]:
        """The file and its size; opened anew if it has no name any more, since it was deleted or replaced."""
        if self._file is not None:
            found = os.fstat(self._file.fileno())
            if found.st_nlink:
                return self._file, found.st_size
            self.close()
        self._file = FileIO(self.path, "ab")
        return self._file, os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Let go of the file; a line that is added later opens it again. Raises FileError if the system refuses."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError as error:
            raise FileError(f"{self.path}: must be writable, got {error.strerror or error}") from error
