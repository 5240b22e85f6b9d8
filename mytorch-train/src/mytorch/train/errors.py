"""What can go wrong with a training, or with a model on disk."""

from mytorch.core import MytorchError


class RunError(MytorchError, OSError):
    """A run folder cannot be written or read; the text names the file and the way out."""


class NotFiniteError(MytorchError, ArithmeticError):
    """A loss or value stopped being finite; the text names epoch, batch and the layer where it first appeared."""
