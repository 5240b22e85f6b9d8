"""mytorch explain"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting, refuse_overwrite, write_file

MOST = 50
"""Batches of a page, each of which takes up to some hundred kilobytes."""


@click.command()
@click.argument("source", metavar="EXPERIMENT|RUN", shell_complete=complete_experiment)
@click.option("--batch", metavar="N", type=click.IntRange(1), default=1, show_default=True, help="Which batch.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML page to this file.")
@click.option(
    "--batches", metavar="N", type=click.IntRange(1, MOST), default=1, show_default=True,
    help="Of --html: a slider over so many batches, from --batch on.",
)  # fmt: skip
@overrides_option
@click.option("--force", is_flag=True, help="Replace the file of --html if it exists.")
def explain(source: str, batch: int, html: Path | None, batches: int, settings: tuple[str, ...], force: bool) -> None:
    """Explain one training step, layer by layer.

    EXPERIMENT is a TOML file or the name of an installed experiment: the step begins with the initial
    weights. RUN is the folder of a run: the step begins with its final weights. The output shows forward, loss,
    backward and update for batch N of the first epoch: formulas, shapes, numbers, saved values and the norms of the
    gradients. The page of --html draws the network, too, and is walked through call by call.

    \b
    Example:
      mytorch explain disk
      mytorch explain disk --set batch_size=4 --html step.html
      mytorch explain disk --batches 5 --html steps.html
    """
    from rich.console import Console

    from mytorch.experiments.explain_experiment import explain_batches
    from mytorch.train.explain import page_of

    if html is not None:
        refuse_overwrite(html, force)
    elif batches > 1:
        raise click.UsageError("--batches must come with --html, whose page has a slider; --batch N shows another one")
    explanations = explain_batches(source, dict(map(parse_setting, settings)), batch, batches)
    if html is None:
        Console().print(explanations[0])
        return
    write_file(html, page_of(explanations))
    click.echo(f"Wrote {html}")
