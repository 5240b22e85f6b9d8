"""The entry point: runs the command and turns every failure into a line for the user."""

import os
import signal
import sys
import warnings
from typing import Any

import click

from mytorch.cli.failure import notes, report
from mytorch.cli.root import mytorch
from mytorch.plugins import MytorchWarning, printable


def main() -> None:
    """Run `mytorch` with the arguments of this process and leave with its exit status."""
    arguments, debug = take_debug(sys.argv[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("always", MytorchWarning)
        warnings.showwarning = _warn(warnings.showwarning)
        sys.exit(run(arguments, debug))


def run(arguments: list[str], debug: bool) -> int:
    """The exit status of `mytorch ARGUMENTS`; failures are reported on stderr."""
    try:
        return mytorch.main(arguments, prog_name="mytorch", standalone_mode=False) or 0
    except click.Abort as abort:  # raised by click from the KeyboardInterrupt
        click.echo("\n".join(["Aborted", *notes(abort.__cause__)]), err=True)
        return 128 + getattr(abort.__cause__, "signum", signal.SIGINT)
    except SystemExit:
        raise
    except BaseException as error:  # a stranger's command may raise anything
        if debug and not isinstance(error, click.ClickException):
            sys.excepthook(type(error), error, error.__traceback__)
        return report(error, debug)


def take_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments without `--debug`, and whether it was there: it may stand before or after the command."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"] + arguments[end:]
    return kept, len(kept) < len(arguments) or os.environ.get("MYTORCH_DEBUG", "") not in ("", "0")


def _warn(otherwise: Any) -> Any:
    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, MytorchWarning):
            click.echo(f"Warning: {printable(str(message))}", err=True)
        else:
            otherwise(message, category, *where, **more)

    return show
