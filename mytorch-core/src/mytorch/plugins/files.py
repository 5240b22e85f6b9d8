"""Writing files whole or not at all, and never over somebody's file unasked."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mytorch.plugins.errors import FileError


def refuse_overwrite(path: Path, force: bool = False, suffixes: tuple[str, ...] = ()) -> None:
    """Raise FileError unless a new file may be written to `path`. Ask before the work whose result it will hold.

    force: whether a file that exists may be replaced;  suffixes: the endings that the name may have, such as
    (".png", ".svg"); any, if there are none.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise FileError(f"{path}: name must end in {' or '.join(suffixes)}, got {path.suffix or 'no ending'}")
    with _naming(path):
        _require_file(path)
        if not path.parent.is_dir():
            raise FileError(f"{path}: its folder must exist; create it with: mkdir -p {path.parent}")
        if path.exists() and not force:
            raise FileError(
                f"{path}: must be a new file, got one that exists; choose another name, "
                "or replace it with force=True (--force)"
            )


def make_folder(path: Path) -> Path:
    """The folder of this path, made with those above it if it is not there. Raises FileError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path}: must be a folder that can be written, got {error.strerror or error}") from error
    return path


def write_file(path: Path, content: str | bytes) -> None:
    """Write a whole file, replacing one that exists. Text is written as UTF-8, its line breaks as they are.

    Raises FileError if it cannot be written; what was there before is then untouched.
    """
    with whole_file(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; at the end the file written there takes the place of `path`.

    So `path` holds its old or its new content at every moment, also if the power fails: the content is on the disk
    before it is moved. After an error or Ctrl-C inside the block nothing is left but what was there before. A symbolic
    link stays one, and the file that it leads to is replaced. The mode of the file is that of any new one.

    Raises FileError if it cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(Path(folder) / "notes.txt") as beside:
        ...         beside.write_text("all of it")
        ...     print([file.name for file in Path(folder).iterdir()])
        9
        ['notes.txt']
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    with _naming(path):
        _require_file(path)
        try:
            beside.touch(exist_ok=False)
            mode = beside.stat().st_mode
            yield beside
            if beside.stat().st_mode != mode:  # some libraries make a file of their own, for its owner only
                beside.chmod(mode)
            _flush_to_disk(beside)
            beside.replace(target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        with suppress(OSError):  # not every system can open a folder
            _flush_to_disk(target.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the system's error into one that names the file which the user asked for."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: must be writable, got {error.strerror or error}") from error


def _require_file(path: Path) -> None:
    """A folder cannot be replaced by a file, and a device such as /dev/null must not be."""
    if path.is_dir():
        raise FileError(f"{path}: must be a file, got a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise FileError(f"{path}: must be an ordinary file, got something else, such as a device")


def _flush_to_disk(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
