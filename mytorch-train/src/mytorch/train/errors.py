"""What can go wrong with a training, or with a model on disk."""

from mytorch.core import MytorchError
from mytorch.plugins import FileError


class RunError(FileError):
    """A run, or a model on disk, is missing or damaged; the text names the file and the way out."""


class NotFiniteError(MytorchError, ArithmeticError):
    """A loss or value stopped being finite; the text names epoch, batch and the layer where it first appeared."""
