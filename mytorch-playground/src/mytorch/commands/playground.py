"""mytorch playground"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="[EXPERIMENT]", default="disk")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of 127.0.0.1; a free one if left out.")
@click.option("--no-browser", is_flag=True, help="Print the address and do not open it.")
def playground(source: str, port: int, no_browser: bool) -> None:
    """Watch a network learn in the browser.

    EXPERIMENT is a TOML file or the name of an installed experiment. The page shows the network, its decision boundary
    and its losses while it trains, walks through a training step layer by layer, and trains what you make of the
    experiment. It is served to this machine alone, until Ctrl-C.

    \b
    Example:
      mytorch playground
      mytorch playground experiment.toml --port 8000
    """
    from mytorch.playground import serve

    name = str(Path(source).resolve()) if Path(source).is_file() else source
    serve({"do": "experiment", "name": name}, port, not no_browser, click.echo)
