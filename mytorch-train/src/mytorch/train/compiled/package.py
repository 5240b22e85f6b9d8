"""Packages of machine code, and the temporary folders in which they are made and opened."""

from __future__ import annotations

import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch

PREFIX = "mytorch-step-"
"""How the names of the temporary folders begin."""
LEFT_BEHIND = 3600
"""Seconds after which a file or folder that was begun counts as left behind by a process that was killed."""


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a package that is made or opened; it is deleted at the end of the `with` statement."""
    return tempfile.TemporaryDirectory(prefix=PREFIX)


def load_package(path: Path) -> Any:
    """The loader of a package's default program, whose `run` takes and returns a list of tensors.

    torch's own function unpacks the package into the temporary directory, where the folder stays if the process ends
    before the loader is freed. Machine code that is loaded needs its file no more, so here the folder is deleted at
    once. Raises zipfile.BadZipFile for a file that is not whole.
    """
    with temporary_folder() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        return torch._C._aoti.AOTIModelPackageLoader(folder, "model", False, 1, -1)


def clear_left_behind() -> None:
    """Delete the temporary folders that processes left which were killed while they compiled or loaded."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another process was faster, or it is somebody else's
            if path.stat().st_mtime < time.time() - LEFT_BEHIND:
                rmtree(path)
