"""Checkpoints: the state of a training in a file, from which it goes on as if it had never ended."""

from mytorch.train.checkpoint.checkpoint_file import CHECKPOINT_FILE, checkpoint_path, read_checkpoint
from mytorch.train.checkpoint.keeper import EVERY, Keeper

__all__ = ["CHECKPOINT_FILE", "EVERY", "Keeper", "checkpoint_path", "read_checkpoint"]
