"""Writing files whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mytorch.core import MytorchError


class FileError(MytorchError, OSError):
    """A file cannot be written or read; the text says why and what helps."""


def require_free(path: Path, force: bool) -> None:
    """Raise FileError if there is no folder for the file, or it exists and must not be replaced."""
    if path.is_dir():
        raise FileError(f"{path}: must be a file, got a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileError(f"{path}: its folder must exist; create it with: mkdir -p {path.parent}")
    if path.exists() and not force:
        raise FileError(f"{path}: exists already; choose another name, or replace it with --force (force=True)")


@contextmanager
def whole_file(path: Path, force: bool) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place at the end; after an error nothing is left."""
    require_free(path, force)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)
