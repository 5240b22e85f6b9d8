"""What a failed check raises."""

from mytorch.core import MytorchError


class CheckError(MytorchError, AssertionError):
    """A module breaks the contract; the text names check, tensor and difference, and how to see it again."""


class Skip(Exception):
    """A check that says nothing about this module; the text says why."""
