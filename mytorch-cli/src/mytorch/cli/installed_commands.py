"""A click group of commands that other distributions offer; none is imported before it is used."""

import warnings

import click

from mytorch.cli.stand_in import StandIn
from mytorch.plugins import (
    Catalogue,
    MytorchError,
    Part,
    PluginWarning,
    SettingsError,
    catalogue,
    rules,
    shown,
)


class InstalledCommands(click.Group):
    """The group's own commands and every part of kind "command".

    `get_command`, which help and completion call, returns stand-ins that know name and help text;
    `resolve_command`, which runs a command, imports the real one.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        others = [part for part in allowed_commands() if part.distribution != "mytorch-cli"]
        return sorted({*own, *names_of(others, taken=own)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        part = find_command(catalogue(), cmd_name)
        return StandIn(cmd_name, part) if part else None

    def invoke(self, ctx: click.Context) -> None:
        super().invoke(ctx)  # what a command returns is no exit status

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        wanted = args[0]
        command = self.get_command(ctx, wanted)
        if command is None and not ctx.resilient_parsing and not wanted.startswith("-"):
            rules()  # raises if the settings cannot be read, which hides every command
            if len(same_name(catalogue(), wanted)) > 1:
                catalogue().find("command", wanted)  # raises the error that names both
            ctx.fail(unknown(wanted, self.list_commands(ctx)))
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, StandIn):
            command = _load(command, ctx)
        return name, command, rest


def allowed_commands() -> list[Part]:
    """The commands that no rule blocks; none if the rules cannot be read, which is told."""
    try:
        return [part for part in catalogue().of_kind("command") if part.blocked() is None]
    except SettingsError as error:
        warnings.warn(str(error), PluginWarning, stacklevel=1)
        return []


def same_name(offers: Catalogue, name: str) -> list[Part]:
    """The commands of this name, of any distribution."""
    return [part for part in offers.of_kind("command") if part.name == name]


def find_command(offers: Catalogue, name: str) -> Part | None:
    """The part that a name or "distribution:name" means; None if there is none, or several."""
    try:
        return offers.find("command", name)
    except MytorchError:
        return None


def names_of(parts: list[Part], taken: list[str]) -> list[str]:
    """What to type for each command: its name, or "distribution:name" where the name means another or several."""
    offers = Catalogue(parts)
    return [
        part.name if part.name not in taken and find_command(offers, part.name) == part else part.reference
        for part in parts
    ]


def unknown(name: str, known: list[str]) -> str:
    """Why there is no such command, and what to do about it."""
    return f"No such command {shown(name)}. {catalogue().remedy('command', name, known)}"


def _load(command: StandIn, ctx: click.Context) -> click.Command:
    try:
        return command.load()
    except MytorchError:
        if ctx.resilient_parsing:  # completion has no one to tell
            return command
        raise
