"""What the compiled engine tells a user who need not do anything about it."""

from mytorch.plugins import MytorchWarning


class EngineWarning(MytorchWarning):
    """The compiled engine runs otherwise than asked for; the text says how and why, in one line."""
