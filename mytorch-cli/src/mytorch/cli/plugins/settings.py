"""`mytorch plugins block`, `unblock` and `prefer`: they write the user's file and keep its comments."""

from collections.abc import Callable
from typing import cast

import click

from mytorch.plugins import (
    DuplicateError,
    UnknownNameError,
    catalogue,
    make_folder,
    nearest,
    read_settings,
    settings_file,
    shown,
    ways_out,
    write_file,
)


@click.command(short_help="Never import a distribution, or one part of it.")
@click.argument("name")
def block(name: str) -> None:
    """Never import NAME: a distribution, or one part of it as "distribution:name".

    \b
    Example:
      mytorch plugins block acme-layers
      mytorch plugins block acme-layers:Gate
    """
    entry = entry_of(name)
    _add("block", entry)
    click.echo(f"{entry} is blocked in {settings_file()}. Undo: mytorch plugins unblock {entry}")


@click.command(short_help="Allow again what was blocked.")
@click.argument("name")
def unblock(name: str) -> None:
    """Allow NAME again, which was blocked as written here.

    \b
    Example:
      mytorch plugins unblock acme-layers
    """
    path = settings_file()
    entries = read_settings(path)["block"]
    if name not in entries:
        raise UnknownNameError(f"plugins unblock: {shown(name)} is not blocked in {path}. {nearest(name, entries)}")
    _edit("block", lambda held: held.remove(name))
    click.echo(f"{name} is allowed again.")


@click.command(short_help="Choose which of several parts with the same name is used.")
@click.argument("name")
def prefer(name: str) -> None:
    """Take NAME, a "distribution:name" or a distribution, where several distributions offer a name.

    The latest preference comes first. A part of this project is never replaced: write the other one's full name.

    \b
    Example:
      mytorch plugins prefer acme-layers:Gate
    """
    _add("prefer", name)
    click.echo(f"{name} is preferred in {settings_file()}.")


def entry_of(name: str) -> str:
    """What to write for a name that a user gave: a part's bare name becomes its full one."""
    parts = list(catalogue())
    if ":" in name or any(part.distribution == name for part in parts):
        known = {part.reference for part in parts} | {part.distribution for part in parts}
        if name not in known:
            click.echo(f"Warning: {shown(name)} is not installed. {nearest(name, known)}", err=True)
        return name
    same = [part for part in parts if part.name == name]
    if len({part.reference for part in same}) > 1:
        raise DuplicateError(f"plugins: {shown(name)} is offered by several distributions; {ways_out(same)}")
    if not same:
        known = {part.name for part in parts} | {part.distribution for part in parts}
        click.echo(f"Warning: {shown(name)} is not installed. {nearest(name, known)}", err=True)
    return same[0].reference if same else name


def _add(key: str, entry: str) -> None:
    """Put an entry at the beginning of a list, or move it there."""
    if entry in read_settings(settings_file())[key]:
        _edit(key, lambda entries: entries.remove(entry))
    _edit(key, lambda entries: entries.insert(0, entry))


def _edit(key: str, change: Callable[[list[str]], None]) -> None:
    """Change one list and leave the rest of the file as it is; the file is whole at every moment."""
    import tomlkit

    path = settings_file()
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    if key not in document:
        document[key] = tomlkit.array()
    change(cast("list[str]", document[key]))
    make_folder(path.parent)
    write_file(path, tomlkit.dumps(document))
