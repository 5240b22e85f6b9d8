"""What a body may hold, by the kind of data that a run was trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mytorch.core import DataSet, MytorchError
from mytorch.experiments.serve.files import Files
from mytorch.experiments.serve.refusal import Refusal
from mytorch.plugins import FileError
from mytorch.train.errors import RunError


class Form(ABC):
    """How bodies become rows of a run.

    takes: the media types of bodies.  about: what a row is, in a sentence.  encoding: that of text, but for JSON.
    named: whether the names of rows, such as those of sequences, come from the client and stand in the answer.
    """

    takes: tuple[str, ...]
    about: str
    encoding = "utf-8"
    named = False

    @abstractmethod
    def rows(self, media: str, body: bytes, files: Files) -> DataSet:
        """The rows of a body. Raises Refusal and what `mytorch predict` raises for the same rows in a file.

        files: what is written there stays until the answer was made.
        """

    def rows_of_several(self, bodies: Sequence[tuple[str, bytes]]) -> list[DataSet]:  # noqa: ARG002
        """The rows of each of several bodies with their media types, read at once; empty if that is not possible.

        What `rows` would raise or warn of for one of them is raised or warned of, without its number.
        """
        return []

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """For each media type a JSON Schema, and an example that is answered with predictions."""


def refusal_of(error: MytorchError, files: Files, run: Path) -> Refusal:
    """The answer to rows that do not fit, in which no path of this machine is told.

    Raises the error itself if it is not one of the rows: a full disk, or a library that is not installed.
    """
    if isinstance(error, ImportError) or (isinstance(error, FileError) and not isinstance(error, RunError)):
        raise error
    return Refusal(422, files.without_paths(str(error)).replace(str(run), run.name), type(error).__name__)
