"""mytorch playground"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="[EXPERIMENT|RUN|LINK]", default="disk")
@click.option(
    "--exercises",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Exercises of your own, a TOML file each, shown before those of the playground.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="Of 127.0.0.1; 8917 or a free one if left out."
)
@click.option("--no-browser", is_flag=True, help="Print the address and do not open it.")
def playground(source: str, exercises: Path | None, port: int | None, no_browser: bool) -> None:
    """Watch a network learn in the browser.

    EXPERIMENT is a TOML file or the name of an installed experiment. RUN is the folder of a run: its experiment begins
    with the weights that the run kept. LINK is what a page has copied: it holds an experiment.

    The page shows the network, its decision boundary and its losses while it trains, walks through a training step
    layer by layer, and trains what you make of the experiment. Its exercises hide a line of a layer's backward and
    judge what you write. It is served to this machine alone, until Ctrl-C.

    \b
    Example:
      mytorch playground
      mytorch playground experiment.toml --port 8000
      mytorch playground runs/disk-20260101-120000
      mytorch playground --exercises my-exercises
    """
    from mytorch.playground import serve
    from mytorch.playground.first import first_command

    serve(first_command(source), port, not no_browser, click.echo, exercises)
