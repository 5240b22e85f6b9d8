"""mytorch parity"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting


@click.command()
@click.argument("experiment", shell_complete=complete_experiment)
@overrides_option
@click.option(
    "--runs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many seeds to compare, beginning with the experiment's.",
)
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write figures 1, 2 and 3 and a Markdown page that shows them into this folder.",
)
@click.pass_context
def parity(context: click.Context, experiment: str, settings: tuple[str, ...], runs: int, folder: Path | None) -> None:
    """Compare an experiment with the same network in PyTorch.

    Both start from the same random weights and take the same batches with the same random state at each step. The
    exit status is 1 if, in float64, an epoch's loss or metric differs by more than 1e-10, or if, in float32, a single
    step from equal weights differs by more than 1e-5 relative. Whole float32 runs are reported beside a control.

    \b
    Example:
      mytorch parity disk
      mytorch parity disk --runs 10 --report parity-report
    """
    from mytorch.experiments import load_experiment
    from mytorch.experiments.parity import compare, write_report
    from mytorch.experiments.parity.report import table, verdict, without_rule

    loaded = load_experiment(experiment, dict(map(parse_setting, settings)))
    comparison = compare(loaded, runs, on_seed=lambda result: click.echo(verdict(result)))
    click.echo(f"\n{table(comparison)}\n")
    if said := without_rule(comparison):
        click.echo(said)
    if folder is not None:
        click.echo(f"Wrote {write_report(comparison, folder)}")
    if not comparison.passed:
        click.echo("mytorch and PyTorch differ by more than rounding.", err=True)
        context.exit(1)
