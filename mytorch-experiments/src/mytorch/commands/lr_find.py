"""mytorch lr-find"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import parse_setting, refuse_overwrite

_RATE = click.FloatRange(min=0.0, min_open=True)


@click.command("lr-find")
@click.argument("experiment", shell_complete=complete_experiment)
@click.option("--start", type=_RATE, default=1e-6, show_default=True, help="The rate of the first step.")
@click.option("--end", type=_RATE, default=10.0, show_default=True, help="The rate of the last step.")
@click.option("--steps", type=click.IntRange(10), default=100, show_default=True, help="How many steps.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("lr-find.png"),
    show_default=True,
    help="The figure to write.",
)
@overrides_option
@click.option("--force", is_flag=True, help="Replace the figure if it exists.")
def lr_find(
    experiment: str, start: float, end: float, steps: int, output: Path, settings: tuple[str, ...], force: bool
) -> None:
    """Suggest a learning rate for an experiment.

    EXPERIMENT is a TOML file or the name of an installed experiment. It is trained from its initial
    weights for some steps with a rising learning rate, without its schedule. The suggestion is the rate at which the
    loss falls fastest, or a tenth of the rate at which training diverges, if that is lower. Only a figure of the loss
    over the learning rate is written.

    \b
    Example:
      mytorch lr-find disk
      mytorch lr-find my-experiment.toml --start 1e-4 --end 1 --output rates.png
    """
    from mytorch.experiments.figures.lr_range_figure import draw_lr_range
    from mytorch.experiments.file.flat import flat
    from mytorch.experiments.training.find_rate import find_rate

    if end <= start:
        raise click.BadParameter(f"{end:g} must be above --start, {start:g}", param_hint="--end")
    refuse_overwrite(output, force, suffixes=(".png",))
    tried, found = find_rate(experiment, dict(map(parse_setting, settings)), start=start, end=end, steps=steps)
    if not found.rates:
        raise click.ClickException("lr-find: the loss was not finite at the first step; try a smaller --start")
    ended = f"; ended early, at {found.rates[-1]:.2g}, where the loss had risen too far" if found.stopped else ""
    click.echo(f"{len(found.rates)} steps of {tried.name} with rates from {start:g} to {end:g}{ended}")
    if found.suggestion is None:
        click.echo("No suggestion: the loss nowhere falls; try another --start and --end, or more --steps")
    else:
        given = dict(flat(tried.model_dump(by_alias=True))).get(tried.rate_key, "its default")
        click.echo(f"Suggested learning rate: {found.suggestion:.2g} (the experiment has {given})")
        click.echo(f"Take it: mytorch train {experiment} --set {tried.rate_key}={found.suggestion:.2g}")
    click.echo(f"Drew {draw_lr_range(found, output, tried.name)}")
