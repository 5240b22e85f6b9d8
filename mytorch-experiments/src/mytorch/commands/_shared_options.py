"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

device_option = click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Where the model computes: cpu, cuda, cuda:1, mps, or auto for the accelerator, if there is one.",
)


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """How a text file is read; `reading_of` makes the options of a Table of them."""
    for option in (
        click.option("--encoding", help="The encoding of the text."),
        click.option("--decimal", help="The decimal sign of numbers."),
        click.option("--delimiter", help=r"The separator between the cells of a line; \t is a tab."),
    ):
        command = option(command)
    return command


def reading_of(options: Mapping[str, str | None]) -> dict[str, str]:
    """Those options of a Table that were given."""
    return {name: "\t" if value == r"\t" else value for name, value in options.items() if value is not None}
