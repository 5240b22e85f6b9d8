"""What a user reads when a command fails: a line, never a traceback."""

import click

from mytorch.plugins import MytorchError


def report(error: BaseException, debug: bool) -> int:
    """Print an error on stderr and return the exit status."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    for line in explain(error, debug):
        click.echo(line, err=True)
    return 1


def explain(error: BaseException, debug: bool) -> list[str]:
    """The lines that tell a user about an error."""
    if isinstance(error, MytorchError):
        return [f"Error: {error}", *notes(error)]
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return [f"Error: {place}{error.strerror}", *notes(error)]
    text = " ".join(str(error).split())
    line = f"Error: unexpected {type(error).__name__}{': ' if text else ''}{text}".rstrip(".") + "."
    if not debug:
        line += " Run again with --debug for the traceback, which whoever maintains the command needs."
    return [line, *notes(error)]


def notes(error: BaseException | None) -> list[str]:
    """The notes that were added to an error on its way up, indented."""
    return [f"  {line}" for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
