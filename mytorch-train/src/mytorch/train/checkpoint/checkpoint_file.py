"""The file of a checkpoint: tensors, and everything else as JSON in its metadata, so that the two cannot disagree."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from mytorch.core import StateError
from mytorch.train.checkpoint.packed import pack, unpack
from mytorch.train.errors import RunError
from mytorch.train.sealed import SHA256, read_sealed, write_sealed

CHECKPOINT_FILE = "checkpoint.safetensors"
FORMAT = "1"
"""Of what a checkpoint holds; another one is refused."""
_FORMAT, _STATE = "mytorch_checkpoint", "state"


class Packed(NamedTuple):
    """A state of one moment, ready to be written: nothing of it changes when training goes on."""

    tensors: dict[str, Tensor]
    text: str

    @classmethod
    def of(cls, state: Any) -> Packed:
        """A copy of a state."""
        return cls(*pack(state))

    def write(self, path: Path) -> None:
        """Write the file, which is whole at every moment. Raises FileError."""
        write_sealed(path, self.tensors, {_FORMAT: FORMAT, _STATE: self.text})


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The state that a checkpoint holds.

    path: the file, or the folder of a run, which has one.
    Raises RunError for a file that is missing, damaged, no checkpoint, or of another format.
    """
    path = checkpoint_path(path)
    tensors, texts = read_sealed(path)
    if _FORMAT not in texts or SHA256 not in texts:
        raise RunError(f"{path}: must be a checkpoint that mytorch wrote, got another safetensors file")
    if texts[_FORMAT] != FORMAT:
        raise RunError(
            f"{path}: must be a checkpoint of format {FORMAT}, got format {texts[_FORMAT][:20]}; resume it with the "
            "version of mytorch-train that wrote it"
        )
    try:
        state = unpack(tensors, texts.get(_STATE, ""))
    except StateError as error:
        raise RunError(f"{path}: must be a whole checkpoint, got one that cannot be read: {error}") from error
    if not isinstance(state, dict):
        raise RunError(f"{path}: must hold the state of a training, got a {type(state).__name__}")
    return state


def checkpoint_path(path: str | Path) -> Path:
    """The checkpoint's file where the folder of a run may be given."""
    path = Path(path)
    return path / CHECKPOINT_FILE if path.is_dir() else path
