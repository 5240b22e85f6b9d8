"""The file of a new experiment, of whatever kind of data."""

from __future__ import annotations

from pathlib import Path

from mytorch.plugins import refuse_overwrite, write_file

SUFFIXES = (".toml",)


def new_file(output: str | Path | None, name: str, force: bool) -> Path:
    """Where the experiment is written, NAME.toml if nobody says. Ask before the data are read.

    Raises FileError if it must not be written there.
    """
    path = Path(f"{name}.toml" if output is None else output)
    refuse_overwrite(path, force, suffixes=SUFFIXES)
    return path


def write_new_file(path: Path, text: str, force: bool) -> None:
    """Write the experiment. Raises FileError if a file came there while the data were read."""
    refuse_overwrite(path, force, suffixes=SUFFIXES)
    write_file(path, text)
