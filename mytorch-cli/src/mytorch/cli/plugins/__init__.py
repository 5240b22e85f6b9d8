"""`mytorch plugins`: what is installed, and what the user allows; no plugin is imported."""

from mytorch.cli.plugins.group import plugins

__all__ = ["plugins"]
