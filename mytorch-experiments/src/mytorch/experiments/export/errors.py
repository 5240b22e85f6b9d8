"""What stands in the way of an export."""

from mytorch.core import MytorchError


class ExportError(MytorchError, RuntimeError):
    """A model or a training step cannot be exported; the text says why, and names the layer where it is one's."""
