"""The SHA-256 of the files of a run, by which a changed byte is told."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mytorch.train.errors import RunError

FILES, OWN = "files", "sha256"
"""The keys of the summary: digests by the name of the file, and that of the summary without this entry."""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Those of the files that there are, by name."""
    return {name: digest_of(folder / name) for name in names if (folder / name).is_file()}


def sealed(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary with the digest of itself."""
    content = {name: value for name, value in summary.items() if name != OWN}
    return {**content, OWN: _own(content)}


def require_unchanged(folder: Path, summary: Mapping[str, Any], names: Iterable[str], summary_file: str) -> None:
    """Raise RunError for a file that is not as the run wrote it; one that the summary does not name is not looked at.

    names: of the files to look at.
    """
    if OWN in summary and sealed(summary)[OWN] != summary[OWN]:
        raise _changed(folder / summary_file, "it is damaged or was edited")
    listed = summary.get(FILES)
    for name in names:
        expected = listed.get(name) if isinstance(listed, Mapping) else None
        if expected is None:
            continue
        try:
            found = digest_of(folder / name)
        except OSError as error:
            raise _changed(folder / name, error.strerror or str(error)) from error
        if found != expected:
            raise _changed(folder / name, "it is damaged or was edited; what it says of the run cannot be trusted")


def require_present(folder: Path, summary: Mapping[str, Any], name: str) -> None:
    """Raise RunError for a file that the summary names and that is gone; its content is not read."""
    listed = summary.get(FILES)
    if isinstance(listed, Mapping) and name in listed and not (folder / name).is_file():
        raise _changed(folder / name, "it was removed")


def _changed(path: Path, why: str) -> RunError:
    return RunError(f"{path}: must have the content that was written, got different content: {why}")


def _own(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
