"""What can go wrong with an experiment or a comparison; a run folder has mytorch.train.errors.RunError."""

from mytorch.core import MytorchError


class ExperimentError(MytorchError, ValueError):
    """An experiment file does not say what it must; the text names the key, what was expected and what came."""


class UnknownKeyError(ExperimentError):
    """An experiment has a key that nothing takes; the text names it and the nearest that is taken."""


class ParityError(MytorchError, RuntimeError):
    """No PyTorch twin can be built, or ours and PyTorch's differ by more than rounding."""
