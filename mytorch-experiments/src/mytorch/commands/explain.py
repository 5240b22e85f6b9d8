"""mytorch explain"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting, refuse_overwrite, write_file


@click.command()
@click.argument("source", metavar="EXPERIMENT|RUN", shell_complete=complete_experiment)
@click.option("--batch", metavar="N", type=click.IntRange(1), default=1, show_default=True, help="Which batch.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML page to this file.")
@overrides_option
@click.option("--force", is_flag=True, help="Replace the file of --html if it exists.")
def explain(source: str, batch: int, html: Path | None, settings: tuple[str, ...], force: bool) -> None:
    """Explain one training step, layer by layer.

    EXPERIMENT is a TOML file or the name of an installed experiment: the step begins with the initial
    weights. RUN is the folder of a run: the step begins with its final weights. The output shows forward, loss,
    backward and update for batch N of the first epoch: formulas, shapes, numbers, saved values and the norms of the
    gradients.

    \b
    Example:
      mytorch explain disk
      mytorch explain disk --set batch_size=4 --html step.html
    """
    from rich.console import Console

    from mytorch.experiments.explain_experiment import explain_experiment

    if html is not None:
        refuse_overwrite(html, force)
    explanation = explain_experiment(source, dict(map(parse_setting, settings)), batch)
    if html is None:
        Console().print(explanation)
        return
    write_file(html, explanation.page())
    click.echo(f"Wrote {html}")
