"""Files that a user names for a result."""

from __future__ import annotations

from pathlib import Path

from mytorch.train.errors import RunError


def require_free(path: Path, force: bool, suffix: str = "") -> None:
    """Raise RunError unless a file may be written to `path`, so that one knows before the work."""
    if suffix and path.suffix.lower() != suffix:
        raise RunError(f"{path}: must be a file whose name ends in {suffix}")
    if path.is_dir():
        raise RunError(f"{path}: must be a file, got a folder; name a file in it")
    if not path.parent.is_dir():
        raise RunError(f"{path}: its folder must exist; create it with: mkdir -p {path.parent}")
    if path.exists() and not force:
        raise RunError(f"{path}: exists already; choose another name, or replace it with --force (force=True)")
