"""What a user reads when a command fails: a line, never a traceback."""

import re

import click

from mytorch.plugins import MytorchError, lack_of_memory, one_line, printable

MOST = 4000
"""Characters of one error that a user is shown; more would hide what matters."""
_BOTH = re.compile(r"\w+=\S+ \((--[^()]+)\)")
"""A way out for Python and for a command, such as force=True (--force); a command shows the second only."""


def report(error: BaseException, debug: bool) -> int:
    """Print an error on stderr and return the exit status."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    for line in explain(error, debug):
        click.echo(line, err=True)
    return 1


def explain(error: BaseException, debug: bool) -> list[str]:
    """The lines that tell a user about an error, without control characters and of sensible length."""
    text = printable("\n".join(_told(error, debug)))
    return (text if len(text) <= MOST else f"{text[: MOST - 60]}...\n(cut; --debug shows all of it)").split("\n")


def _told(error: BaseException, debug: bool) -> list[str]:
    if isinstance(error, MytorchError):
        return [_BOTH.sub(r"\1", f"Error: {error}"), *notes(error)]
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return [f"Error: {place}{error.strerror}", *notes(error)]
    if (refused := lack_of_memory(error)) is not None:
        return [f"Error: {refused}", *notes(error)]
    kind, text = type(error).__name__, one_line(error)
    line = f"Error: unexpected {kind}{'' if text == kind else f': {text}'}".rstrip(".") + "."
    from mytorch.plugins.catalogue import why_unreadable
    from mytorch.plugins.doctor import unreadable_metadata  # imports much, and few commands fail

    if unreadable := unreadable_metadata():
        if any(f"({why_unreadable(error)})" in each for each in unreadable):
            line = "Error: the entry points of every installed package must be readable"
        return [line, *(f"  {each}" for each in unreadable), *notes(error)]
    if not debug:
        line += " Run again with --debug for the traceback, which whoever maintains the command needs."
    return [line, *notes(error)]


def notes(error: BaseException | None) -> list[str]:
    """The notes that were added to an error on its way up, indented."""
    return [f"  {line}" for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
