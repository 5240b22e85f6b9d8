"""A command that is installed but not imported."""

import click

from mytorch.plugins import Part, catalogue, first_docstring_line, printable


class StandIn(click.Command):
    """Name and short help of a command, read without executing its code."""

    def __init__(self, name: str, part: Part) -> None:
        told = printable(first_docstring_line(part.target))
        super().__init__(name, help=told or f"(a command of {part.distribution})")
        self.part = part

    def load(self) -> click.Command:
        """Import the real command. Raises PluginError if that fails or gives something else."""
        command: click.Command = catalogue().load("command", self.name or self.part.reference)
        return command
