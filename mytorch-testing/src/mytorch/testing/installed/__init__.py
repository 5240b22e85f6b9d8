"""Checking installed parts without a test file."""

from mytorch.testing.installed.check_part import Outcome, check_part
from mytorch.testing.installed.declarations import Told

__all__ = ["Outcome", "Told", "check_part"]
