"""mytorch export"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mytorch.experiments.export.model_of import Exported

force_option = click.option("--force", is_flag=True, help="Replace what is written if it exists.")


@click.group()
def export() -> None:
    """Export the model of a run, or its training step, for use elsewhere.

    \b
    Example:
      mytorch export onnx runs/disk-20260101-120000 --output model.onnx
    """


@export.command(short_help="Write the model of a run as an ONNX file.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.onnx"),
    show_default=True,
    help="The file to write.",
)
@force_option
def onnx(run: Path, output: Path, force: bool) -> None:
    """Write the model of a run as an ONNX file: raw rows in, predictions out.

    RUN is the folder that `mytorch train` made. What is arithmetic in the preparation of rows, such as
    standardisation, is part of the file; names of columns and classes, and the rest of the preparation, are in its
    metadata. Before it is written, onnxruntime must compute with it what the run predicts, to 1e-5. docs/export.md
    says what goes in and comes out. It needs the extra mytorch-experiments[onnx].

    \b
    Example:
      mytorch export onnx runs/disk-20260101-120000 --output model.onnx
    """
    from mytorch.experiments.export import export_onnx

    _say(output, export_onnx(run, output, force))


@export.command(short_help="Write the model of a run for PyTorch alone.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.pt"),
    show_default=True,
    help="The file of weights; a .py file of the same name is written beside it.",
)
@force_option
def torch(run: Path, output: Path, force: bool) -> None:
    """Write the model of a run for PyTorch alone: a file of weights, and the lines of torch.nn that load it.

    RUN is the folder that `mytorch train` made. The .py file needs torch and nothing else; its function `load` gives a
    torch.nn.Module that takes raw rows and gives predictions. Before they are written, the lines are run, and must
    give what the run predicts, to 1e-5. docs/export.md says what goes in and comes out.

    \b
    Example:
      mytorch export torch runs/disk-20260101-120000 --output model.pt
    """
    from mytorch.experiments.export import export_torch

    _say(output, export_torch(run, output, force))
    click.echo(f"  load it: from {output.stem} import load  ({output.with_suffix('.py')})")


@export.command(short_help="Write the model of a run as a program of torch.export.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("model.pt2"),
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--aot-inductor",
    is_flag=True,
    help="Compile it by AOTInductor to machine code for C++, which needs no Python.",
)
@force_option
def program(run: Path, output: Path, aot_inductor: bool, force: bool) -> None:
    """Write the model of a run as a program of torch.export: raw rows in, predictions out.

    RUN is the folder that `mytorch train` made. `torch.export.load` reads the file where there is PyTorch alone. With
    --aot-inductor it is a package of machine code for this kind of processor and this version of torch, which
    torch::inductor::AOTIModelPackageLoader runs in C++; that takes a minute and needs a C++ compiler. Before either is
    written, it must compute what the run predicts, to 1e-5. docs/export.md says what goes in and comes out.

    \b
    Example:
      mytorch export program runs/disk-20260101-120000 --output model.pt2
      mytorch export program runs/disk-20260101-120000 --aot-inductor
    """
    from mytorch.experiments.export import export_program

    _say(output, export_program(run, output, force, aot_inductor=aot_inductor))
    if aot_inductor:
        click.echo(f'  load it in C++: torch::inductor::AOTIModelPackageLoader model("{output}")')
    else:
        click.echo(f'  load it: torch.export.load("{output}").module()')


def _say(output: Path, found: Exported) -> None:
    """What was written, and how it is used."""
    said = found.to_json()
    sizes = ", ".join(map(str, said["input"]["shape"]))
    lines = [f"{output}: the model of {said['run']}"]
    if said["status"] != "finished":
        lines.append(f"  Note: the run is {said['status']}; these are the weights of epoch {said['weights_of_epoch']}")
    lines.append(f"  input: rows, {said['input']['dtype']} ({sizes})")
    lines.append(f"  outputs: {', '.join(said['outputs'])}")
    lines.append(f"  difference from the run: at most {found.difference:.1g}")
    click.echo("\n".join(lines))


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
@force_option
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
    from mytorch.experiments.export import export_step

    layout = export_step(run, output, batch_size, force)
    carry = ", ".join(f"{part['dtype']} ({part['size']},)" for part in layout["carry"])
    batch = ", ".join(f"{leaf['dtype']} {tuple(leaf['shape'])}" for leaf in layout["batch"])
    settings = ", ".join(f"{setting['name']} = {setting['value']:g}" for setting in layout["settings"])
    click.echo(f"{output}: one training step\n  carried: {carry}\n  settings: {settings}\n  batch: {batch}")
