"""What can go wrong with an experiment, a run or a training."""

from mytorch.core import MytorchError


class ExperimentError(MytorchError, ValueError):
    """An experiment file does not say what it must; the text names the key, what was expected and what came."""


class RunError(MytorchError, OSError):
    """A run folder cannot be written or read; the text names the file and the way out."""


class NotFiniteError(MytorchError, ArithmeticError):
    """A loss or value stopped being finite; the text names epoch, batch and the layer where it first appeared."""


class ParityError(MytorchError, RuntimeError):
    """No PyTorch twin can be built, or ours and PyTorch's differ by more than rounding."""
