"""The `mytorch` command. Imports click and mytorch.plugins, never torch."""

from mytorch.cli.entry import main

__all__ = ["main"]
