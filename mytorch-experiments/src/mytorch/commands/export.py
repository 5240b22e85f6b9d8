"""mytorch export"""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def export() -> None:
    """Export the training step of a run, for use without Python.

    \b
    Example:
      mytorch export step runs/disk-20260101-120000 --output step.pt2
    """


@export.command(short_help="Compile the training step of a run for use without Python.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("step.pt2"),
    show_default=True,
    help="The package to write.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Rows of a batch.  [default: the experiment's]")
@click.option("--force", is_flag=True, help="Replace the package if it exists.")
def step(run: Path, output: Path, batch_size: int | None, force: bool) -> None:
    """Compile the training step of a run into a package that trains without Python.

    RUN is the folder that `mytorch train` made. The package holds two programs of torch's AOTInductor: "start" gives
    the run's last weights and a fresh optimizer, "model" takes one step from them. docs/compiled.md shows how to load
    it from Python and from C++. It takes a minute and needs a C++ compiler.

    \b
    Example:
      mytorch export step runs/disk-20260101-120000 --output step.pt2
      mytorch export step runs/disk-20260101-120000 --batch-size 32
    """
    from mytorch.experiments.export_step import export_step

    layout = export_step(run, output, batch_size, force)
    carry = ", ".join(f"{part['dtype']} ({part['size']},)" for part in layout["carry"])
    batch = ", ".join(f"{leaf['dtype']} {tuple(leaf['shape'])}" for leaf in layout["batch"])
    settings = ", ".join(f"{setting['name']} = {setting['value']:g}" for setting in layout["settings"])
    click.echo(f"{output}: one training step\n  carried: {carry}\n  settings: {settings}\n  batch: {batch}")
