"""A run's model for PyTorch alone: a file of weights, and the lines of torch.nn that load it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import require_path
from mytorch.experiments.export.graph import quiet
from mytorch.experiments.export.model_of import Exported, exported
from mytorch.experiments.export.source import source_of
from mytorch.experiments.runs.run import Run
from mytorch.plugins import refuse_overwrite, whole_file


def export_torch(
    run: Run | str | Path, output: str | Path, force: bool = False, example: Tensor | None = None
) -> Exported:
    """Write the model of a run as a file of `torch.save`, and a .py file beside it that builds and loads it.

    The weights have the names that they have in the run. The lines are run before they are written, and must give what
    the run predicts, to 1e-5, for one and for several rows.

    force: whether files that exist may be replaced.
    example: some rows as `run.predict` takes them, for a run that keeps nothing of their shape.
    Raises RunError for what is no run; FileError for a file that exists or cannot be written; ExportError for a layer
        that is neither of torch.nn nor of mytorch.nn.
    """
    output = require_path("export_torch", "output", output)
    refuse_overwrite(output, force, suffixes=(".pt", ".pth"))
    refuse_overwrite(output.with_suffix(".py"), force)
    found = exported(run, example, otherwise=None)
    source, weights = source_of(found), io.BytesIO()
    torch.save(found.model.net.state_dict(), weights)
    lines: dict[str, Any] = {"__name__": "exported", "__file__": str(output.with_suffix(".py"))}
    with quiet(), torch.no_grad():
        exec(compile(source, lines["__file__"], "exec"), lines)
        found = found.compare(lines["load"](io.BytesIO(weights.getvalue())), "the file for PyTorch")
    with whole_file(output) as beside, whole_file(output.with_suffix(".py")) as source_beside:
        beside.write_bytes(weights.getvalue())
        source_beside.write_text(source, encoding="utf-8")
    return found
