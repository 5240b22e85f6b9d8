"""The folder of one run. A new one each time: nothing is ever overwritten."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mytorch.data.table.open_table import is_address
from mytorch.experiments.runs.digests import require_unchanged, sealed
from mytorch.plugins import FileError, make_folder, one_line, write_file
from mytorch.train.errors import RunError
from mytorch.train.weights import MODEL_FILE, read_json

EXPERIMENT_FILE, DATA_FILE, HISTORY_FILE, SUMMARY_FILE, FIGURES = (
    "experiment.toml",
    "data.json",
    "history.csv",
    "summary.json",
    "figures",
)
SETTLED = (EXPERIMENT_FILE, DATA_FILE, MODEL_FILE)
"""What does not change while a run trains."""


class RunFolder:
    """Where a run keeps its experiment, history, weights, data description, summary and figures."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, name: str) -> RunFolder:
        """Make a new folder `parent/name-date-time`, with a number behind if that one is taken. Raises FileError."""
        stem = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{datetime.now():%Y%m%d-%H%M%S}"
        make_folder(parent)
        for number in range(1, 10_000):
            path = parent / (stem if number == 1 else f"{stem}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise FileError(f"{parent}: must be a folder that can be written, got {error.strerror}") from error
            return cls(path)
        raise FileError(f"{parent}: holds 10,000 runs named {stem}; choose another folder with --output")

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run. Raises RunError if it is none."""
        if not path.is_dir():
            got = "an address; download the folder first" if is_address(path) else "no folder"
            raise RunError(f"{path}: must be the folder of a run, such as runs/disk-20260101-120000, got {got}")
        if not (path / SUMMARY_FILE).is_file():
            inside = sorted(p.parent.name for p in path.glob(f"*/{SUMMARY_FILE}"))
            hint = f"; it holds runs: {', '.join(inside[-3:])}" if inside else ""
            raise RunError(f"{path}: must be the folder of a run, got one without {SUMMARY_FILE}{hint}")
        return cls(path)

    def write_summary(self, content: Mapping[str, Any]) -> None:
        """The summary, with the digest of itself. Raises FileError."""
        self.write_json(SUMMARY_FILE, sealed(plain(content)))

    def require_unchanged(self, summary: Mapping[str, Any], *names: str) -> None:
        """Raise RunError for a summary, or one of these files, that is not as the run wrote it."""
        require_unchanged(self.path, summary, names, SUMMARY_FILE)

    def write_experiment(self, text: str) -> None:
        """The resolved experiment, as TOML."""
        write_file(self.path / EXPERIMENT_FILE, text)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """One of the JSON files; a number that is not finite becomes null. Raises FileError."""
        path = self.path / name
        try:
            text = json.dumps(plain(content), indent=2, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FileError(f"{path}: contents must be what JSON can hold, got {one_line(error)}") from error
        write_file(path, text + "\n")

    def read_json(self, name: str) -> Any:
        """One of the JSON files. Raises RunError."""
        return read_json(self.path / name)

    def history(self) -> list[dict[str, float]]:
        """The records of the history, without what was not taken in an epoch. Raises RunError."""
        path = self.path / HISTORY_FILE
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return [{name: _number(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, AttributeError, csv.Error) as error:
            raise RunError(f"{path}: must be a history that a run wrote, got {one_line(error)}") from error

    @property
    def figures(self) -> Path:
        """The folder of the figures, made when it is first asked for.

        Raises FileError if a link leads out of it, or if the run's folder was removed.
        """
        if not self.path.is_dir():
            raise FileError(f"{self.path}: must be the folder of a run, got no folder; it was removed")
        folder = make_folder(self.path / FIGURES)
        for path in (folder, *folder.iterdir()):
            if path.is_symlink():
                raise FileError(f"{path}: must be of the run's own, got a link to {path.readlink()}; remove the link")
        return folder


def plain(value: Any) -> Any:
    """A value as JSON can hold it: a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)
