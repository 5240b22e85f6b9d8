"""A run's model as a program of torch.export, and compiled by AOTInductor for programs without Python."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from mytorch.core import require_path
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.graph import any_steps, as_recorded, graphs_of, layers_with, quiet, record
from mytorch.experiments.export.model_of import Exported, exported
from mytorch.experiments.runs.run import Run
from mytorch.plugins import refuse_overwrite, whole_file
from mytorch.train.compiled.package import load_package, temporary_folder
from mytorch.train.compiled.program import AS_EAGER, FOR_ONE_PROGRAM
from mytorch.train.compiled.reason import first_line, reason_of

METADATA = "mytorch"
"""Under which name the file has what it says of itself, as JSON."""
OF_TORCH = ("aten", "mkldnn", "prim", "prims", "quantized", "rngprims")
"""Where PyTorch has its operators; those of others are unknown where a program is loaded."""

ONE_ROW = {"aot_inductor.check_lowerbound": False}
"""A setting by which AOTI_RUNTIME_CHECK_INPUTS=1 lets one row pass: the example that is recorded has several."""


def export_program(
    run: Run | str | Path,
    output: str | Path,
    force: bool = False,
    example: Tensor | None = None,
    aot_inductor: bool = False,
) -> Exported:
    """Write the model of a run as a program of torch.export, which takes raw rows, and return what it is.

    `torch.export.load(output).module()` runs it where there is PyTorch alone. The file is written after it was loaded
    and has computed what the run predicts, to 1e-5, for several numbers of rows.

    force: whether `output` may be replaced.
    example: some rows as `run.predict` takes them, for a run that keeps nothing of their shape.
    aot_inductor: compile it to a package of machine code, which C++ loads without Python, instead.
    Raises RunError for what is no run; FileError for a file that exists or cannot be written; ExportError for a layer
        that cannot be recorded, or that needs an operator which PyTorch has not, and without a C++ compiler.
    """
    output = require_path("export_program", "output", output)
    refuse_overwrite(output, force, suffixes=(".pt2",))
    found = exported(run, example)
    program = record(found)
    found = as_recorded(found, program)
    _require_operators_of_torch(program, found)
    for node in (node for graph in graphs_of(program) for node in graph.nodes):
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    return (_write_package if aot_inductor else _write_program)(found, program, output)


def _write_program(found: Exported, program: ExportedProgram, output: Path) -> Exported:
    content = io.BytesIO()
    try:
        with quiet():
            torch.export.save(program, content, extra_files={METADATA: json.dumps(found.to_json())})
            loaded = torch.export.load(io.BytesIO(content.getvalue())).module()
    except Exception as error:
        raise ExportError(
            f"export: the model must be a graph that torch.export can save and load, got {first_line(error)}"
        ) from error
    with torch.no_grad():
        found = _compared(found, loaded, "the program")
    with whole_file(output) as beside:
        beside.write_bytes(content.getvalue())
    return found


def _write_package(found: Exported, program: ExportedProgram, output: Path) -> Exported:
    said = {"aot_inductor.metadata": {METADATA: json.dumps(found.to_json())}}
    settings = AS_EAGER | FOR_ONE_PROGRAM | ONE_ROW | said
    with temporary_folder() as folder:
        path = Path(folder) / "model.pt2"
        try:
            with quiet(), any_steps(), torch.no_grad():
                torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=settings)
            loaded = load_package(path)
        except Exception as error:
            raise ExportError(f"export: {reason_of(error, 'model')}") from error
        found = _compared(found, lambda rows: dict(zip(found.names, loaded.run([rows]), strict=True)), "the package")
        with whole_file(output) as beside:
            copyfile(path, beside)
    return found


def _compared(found: Exported, compute: Callable[[Tensor], Mapping[str, Any]], what: str) -> Exported:
    """The same, compared with the run; where rows may have any number of steps, with another number, too."""
    found = found.compare(compute, what)
    if not found.rows.steps:
        return found
    steps, *others = found.rows.shape
    other = steps + 4 if found.rows.dtype.is_floating_point else max(1, steps - 1)  # texts may have a longest
    again = replace(found, rows=replace(found.rows, shape=(other, *others))).compare(compute, what)
    return replace(found, difference=max(found.difference, again.difference))


def _require_operators_of_torch(program: ExportedProgram, found: Exported) -> None:
    """Raise ExportError for an operator that a library of Python adds to PyTorch's."""
    for graph in graphs_of(program):
        for node in graph.nodes:
            if getattr(node.target, "namespace", "aten") not in OF_TORCH:
                layers = layers_with(str(node.target), program, found.model)
                raise ExportError(
                    f"export: {', '.join(layers) or 'every layer'} must compute with PyTorch's own operators, got "
                    f"{node.target}, which is not there where the program is loaded"
                )
