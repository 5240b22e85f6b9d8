"""Where compiled steps are kept, so that the next run need not compile."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import copyfile
from typing import Any

from platformdirs import user_cache_path

from mytorch.plugins import make_folder, whole_file
from mytorch.train.compiled.package import LEFT_BEHIND, clear_left_behind, load_package, temporary_folder
from mytorch.train.compiled.reason import first_line
from mytorch.train.compiled.warning import EngineWarning

LIMIT = 2**30
"""Bytes of entries to keep; those that were used longest ago go first."""
KEY = "mytorch_key"
"""Of a package's metadata: the key under which it was compiled."""


def cache_folder() -> Path:
    """MYTORCH_CACHE, or the user's folder for caches. It may be deleted at any time."""
    chosen = os.environ.get("MYTORCH_CACHE")
    return (Path(chosen) if chosen else user_cache_path("mytorch")) / "steps"


def fetch(key: str, compile_to: Callable[[Path], object]) -> Any:
    """The loaded package of a key, from the cache, or compiled by `compile_to(path)` and then kept.

    A damaged entry is compiled again, and a folder that cannot be written is done without; each is told in one line.
    Raises what `compile_to` raises.
    """
    if (package := find(key, _warn)) is not None:
        return package
    clear_left_behind()
    with temporary_folder() as folder:
        path = Path(folder) / "step.pt2"
        compile_to(path)
        return admit(path, key, _warn)


def find(key: str, tell: Callable[[str], object]) -> Any | None:
    """The loaded package of a key from the cache; None if it is not there, or damaged.

    tell: is given a line if it is damaged.
    """
    kept = _place_of(key)
    if not _there(kept):
        return None
    try:
        package = open_package(kept, key)
    except Exception as error:
        tell(f"the cached step {kept} cannot be used ({first_line(error)}); it is compiled again")
        return None
    with suppress(OSError):  # a folder of somebody else's
        os.utime(kept)
    return package


def admit(path: Path, key: str, tell: Callable[[str], object]) -> Any:
    """The loaded package of a file that was just compiled, which is copied into the cache.

    tell: is given a line if it cannot be.
    """
    kept = _place_of(key)
    try:
        keep(path, kept)
        tidy(kept.parent)
    except OSError as error:
        tell(f"the cache folder cannot be written ({first_line(error)}); the compiled step serves this run only")
    return open_package(path, key)


def is_empty() -> bool:
    """Whether the cache holds no step at all."""
    return next(_files(cache_folder(), "*.pt2"), None) is None


def _place_of(key: str) -> Path:
    return cache_folder() / f"{key}.pt2"


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that may not be looked into
        return False


def keep(path: Path, kept: Path) -> None:
    """Copy a file to its place in the cache. It is whole at every moment, also if two processes do the same."""
    make_folder(kept.parent)
    with whole_file(kept) as beside:
        copyfile(path, beside)


def tidy(folder: Path) -> None:
    """Delete the entries that were used longest ago until the others fit into LIMIT, and what a kill left behind."""
    old = [path for used, _, path in _files(folder, "*.part") if used < time.time() - LEFT_BEHIND]
    total = 0
    for number, (_, size, path) in enumerate(sorted(_files(folder, "*.pt2"), reverse=True)):
        total += size
        if total > LIMIT and number:  # the latest stays, however large it is
            old.append(path)
    for path in old:
        with suppress(OSError):  # another process was faster
            path.unlink()


def _files(folder: Path, pattern: str) -> Iterator[tuple[float, int, Path]]:
    """When each was used last, its bytes and its path."""
    for path in folder.glob(pattern):
        with suppress(OSError):
            status = path.stat()
            yield status.st_mtime, status.st_size, path


def open_package(path: Path, key: str) -> Any:
    """The loader of a package, whose `run` takes and returns a list of tensors. Raises for one that is not whole."""
    loader = load_package(path)
    found = loader.get_metadata().get(KEY)
    if found != key:
        raise ValueError(f"it must be the step {key}, got {found or 'one without a key'}")
    return loader


def _warn(text: str) -> None:
    warnings.warn(f"compiled engine: {text}", EngineWarning, stacklevel=2)
