"""A checkpoint that a training goes on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from mytorch.core import ArgumentError, MytorchError
from mytorch.plugins import shown
from mytorch.train.checkpoint.checkpoint_file import checkpoint_path, read_checkpoint
from mytorch.train.checkpoint.epoch_so_far import EpochSoFar
from mytorch.train.differences import differences
from mytorch.train.errors import RunError
from mytorch.train.sealed import SHA256, read_texts

KEYS = frozenset(
    {"net", "optimizer", "first", "last", "epoch", "finished", "at", "order", "random", "engine", "callbacks"}
)


@dataclass
class Resumption:
    """A checkpoint, and in what the training at hand differs from the one that it was taken of."""

    path: Path
    state: dict[str, Any]
    digest: str | None
    """Of the file, by which another one in its place is told."""
    accepted: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a checkpoint. Raises RunError; ArgumentError for what is no path."""
        if not isinstance(path, (str, Path)):
            raise ArgumentError(f"resume: must be the path of a file or of a run's folder, got {shown(path)}")
        file = checkpoint_path(path)
        state = read_checkpoint(file)
        if lacking := sorted(KEYS - state.keys()):
            raise RunError(f"{file}: must hold the state of a training, got one without {', '.join(lacking)}")
        return cls(file, state, read_texts(file).get(SHA256))

    def require_same(self, parts: Mapping[str, Any], conditions: Mapping[str, Any], accept: bool) -> None:
        """Raise RunError for other parts, and for other conditions unless they are accepted."""
        if wrong := differences(self.state["parts"], parts):
            raise RunError(f"{self.path}: must be resumed by a training that is set up the same; {'; '.join(wrong)}")
        self.accepted = differences(self.state["conditions"], conditions)
        if self.accepted and not accept:
            raise RunError(
                f"{self.path}: a training must be resumed under the conditions of its checkpoint; "
                f"{'; '.join(self.accepted)}. To go on all the same, though numbers may differ, accept them "
                "with accept_differences=True (--accept-differences)"
            )

    def is_finished(self, last_epoch: int) -> bool:
        """Whether there is nothing to train up to this epoch: all was, or a callback ended the training."""
        return last_epoch <= self.state["epoch"] or bool(self.state["finished"] and last_epoch <= self.state["last"])

    def require_epochs_left(self, last_epoch: int) -> None:
        """Raise RunError if there is nothing to train."""
        state = self.state
        if self.is_finished(last_epoch):
            ended = "is finished" if state["finished"] else "has no epoch left"
            raise RunError(
                f"{self.path}: a training must have epochs left to be resumed, got one that {ended} after "
                f"{state['epoch']} of {state['last']} epochs; train longer with epochs={state['last'] * 2} "
                f"(--set epochs={state['last'] * 2})"
            )

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Within this context, an error about a part of the state names the file, too."""
        try:
            yield
        except MytorchError as error:
            error.add_note(f"while the state of {self.path} was put back")
            raise

    def note(self, epoch: int, at: EpochSoFar | None) -> dict[str, Any]:
        """What the notes of a run say of it."""
        place = {"epoch": epoch, "batch": 0 if at is None else at.batch}
        return {**place, "differences": self.accepted} if self.accepted else place
