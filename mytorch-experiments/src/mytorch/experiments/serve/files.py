"""Files of a request, for what is read from files alone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory


class Files:
    """A folder for the files of a request, made when it is first asked for: rows of a table in JSON need none."""

    def __init__(self) -> None:
        self._made: TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> Path:
        """The folder, which is empty at first. Raises OSError if it cannot be made."""
        if self._made is None:
            self._made = TemporaryDirectory(prefix="mytorch-serve-")
        return Path(self._made.name)

    def without_paths(self, text: str) -> str:
        """A message in which no path of this machine is told."""
        if self._made is None:
            return text
        for path in sorted(self.folder.iterdir(), key=lambda path: -len(str(path))):
            text = text.replace(str(path), "request" if path.stem == "request" else f"request: {path.stem}")
        return text.replace(str(self.folder), "request")

    def remove(self) -> None:
        """Remove the folder, if it was made."""
        if self._made is not None:
            with suppress(OSError):
                self._made.cleanup()
