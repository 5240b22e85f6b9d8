"""mytorch resume"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from mytorch.plugins import parse_setting

accept_option = click.option(
    "--accept-differences",
    is_flag=True,
    help="Resume also with different versions, threads, data or engine; results may differ, and the run notes them.",
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a value of the experiment that changes no step, such as epochs=50.",
)
@accept_option
@click.option("--quiet", "-q", is_flag=True, help="Show no progress and no summary.")
@click.option(
    "--trace-hooks", is_flag=True, help="Print each call of a hook: its callback, its time, and what it raised."
)
def resume(run: Path, settings: tuple[str, ...], accept_differences: bool, quiet: bool, trace_hooks: bool) -> None:
    """Resume a run that was interrupted, or that died.

    RUN is the folder that `mytorch train` made. Training continues from the last checkpoint, with the same
    results as without the interruption, in the same folder. A finished run can be continued with more epochs.

    \b
    Example:
      mytorch resume runs/disk-20260101-120000
      mytorch resume runs/disk-20260101-120000 --set epochs=50
    """
    from mytorch.experiments import resume as go_on
    from mytorch.experiments.tables.report import run_summary
    from mytorch.train.parallel import is_first

    finished = go_on(
        run,
        dict(map(parse_setting, settings)),
        accept_differences=accept_differences,
        quiet=quiet,
        trace_hooks=partial(click.echo, err=True) if trace_hooks else None,
    )
    if not quiet and is_first():
        click.echo(run_summary(finished))
