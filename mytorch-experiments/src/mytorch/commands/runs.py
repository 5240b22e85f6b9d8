"""mytorch runs"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mytorch.plugins import refuse_overwrite

if TYPE_CHECKING:
    from mytorch.experiments.runs.compare_runs import RunComparison


class ListByDefault(click.Group):
    """A group whose first command is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = bool(args) and args[0] in (*self.commands, *ctx.help_option_names)
        if not named and not ctx.resilient_parsing:  # completion offers the commands
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListByDefault)
def runs() -> None:
    """List runs and compare them.

    `mytorch runs` alone lists the folder `runs`; `mytorch runs FOLDER` lists another.

    \b
    Example:
      mytorch runs
      mytorch runs results --json
      mytorch runs compare runs/disk-20260101-120000 runs/disk-20260101-130000
    """


@runs.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, for programs.")
def list_command(folder: Path, as_json: bool) -> None:
    """List the runs of a folder, newest first, with their last numbers.

    FOLDER is `runs` if left out.

    \b
    Example:
      mytorch runs list results
    """
    from mytorch.experiments.runs.run_folder import plain
    from mytorch.experiments.runs.runs import list_runs

    found = list_runs(folder)
    if as_json:
        click.echo(json.dumps(plain([run.as_data() for run in found]), indent=2))
    elif not found:
        click.echo(f"{folder} holds no runs. Make one with: mytorch train disk")
    else:
        from mytorch.experiments.tables.runs_table import show_runs

        show_runs(found)


@runs.command(short_help="Show what differed between two runs, and what came of it.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("compare.png"),
    show_default=True,
    help="The figure of both runs' curves to write.",
)
@click.option("--force", is_flag=True, help="Replace the figure if it exists.")
def compare(a: Path, b: Path, output: Path, force: bool) -> None:
    """Show what differed between two runs, what came of it, and both curves in one figure.

    A and B are folders that `mytorch train` made.

    \b
    Example:
      mytorch runs compare runs/disk-20260101-120000 runs/disk-20260101-130000 --output compare.png
    """
    from mytorch.experiments.figures.runs_figure import draw_comparison
    from mytorch.experiments.runs.compare_runs import compare_runs
    from mytorch.experiments.tables.runs_table import show_comparison

    refuse_overwrite(output, force, suffixes=(".png",))
    comparison: RunComparison = compare_runs(a, b)
    show_comparison(comparison)
    click.echo(f"\nDrew {draw_comparison(comparison, output)}")
