"""A run's model as an ONNX file."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from mytorch.core import require_path
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.graph import as_recorded, layers_with, quiet, record
from mytorch.experiments.export.model_of import Exported, exported
from mytorch.experiments.runs.run import Run
from mytorch.plugins import MissingRequirementError, refuse_overwrite, whole_file
from mytorch.train.compiled.reason import first_line

METADATA = "mytorch"
"""Under which key of the file's metadata its JSON is."""
NEEDED = ("onnx", "onnxscript", "onnxruntime")
LARGEST = 2**31 - 2**20
"""Bytes of weights: an ONNX file is one message of protobuf, which must be below 2 GiB."""


def export_onnx(
    run: Run | str | Path, output: str | Path, force: bool = False, example: Tensor | None = None
) -> Exported:
    """Write the model of a run as an ONNX file, which takes raw rows and gives predictions, and return what it is.

    Weights have the names that they have in the run. The file is written after onnxruntime has computed with it what
    the run predicts, to 1e-5, for one and for several rows.

    force: whether `output` may be replaced.
    example: some rows as `run.predict` takes them, for a run that keeps nothing of their shape.
    Raises MissingRequirementError without the extra `mytorch-experiments[onnx]`; RunError for what is no run;
        FileError for a file that exists or cannot be written; ExportError for a layer without an operator of ONNX.
    """
    output = require_path("export_onnx", "output", output)
    refuse_overwrite(output, force, suffixes=(".onnx",))
    _require_libraries()
    found = exported(run, example)
    size = sum(value.nbytes for value in found.model.state_dict().values())
    if size > LARGEST:
        raise ExportError(f"export: weights must take less than 2 GiB to be one ONNX file, got {size / 2**30:.1f} GiB")
    program = record(found)
    found = as_recorded(found, program)
    content = _serialised(found, program)
    found = found.compare(lambda rows: run_onnx(content, rows), "the ONNX file")
    with whole_file(output) as beside:
        beside.write_bytes(content)
    return found


def run_onnx(content: bytes, rows: Tensor) -> dict[str, Any]:
    """What onnxruntime computes with an ONNX file, by the names of its outputs."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, torch.get_num_threads()
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"rows": rows.numpy()}), strict=True))


def _require_libraries() -> None:
    try:
        for name in NEEDED:
            importlib.import_module(name)
    except ImportError as error:
        raise MissingRequirementError(
            f"export onnx: {name} is not installed. Install: python -m pip install './mytorch-experiments[onnx]'"
        ) from error


def _serialised(found: Exported, program: ExportedProgram) -> bytes:
    """The content of the file."""
    try:
        with quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=["rows"],
                output_names=list(found.names),
            )
    except Exception as error:
        raise ExportError(_reason(error, program, found.model)) from error
    assert converted is not None  # as there is no file to write to
    model = converted.model
    _simplify(
        model, {name for name, _ in found.model.named_parameters()} | {name for name, _ in found.model.named_buffers()}
    )
    _name(model, found)
    proto = converted.model_proto
    _name_axes(proto.graph, ("rows", "steps"))
    content: bytes = proto.SerializeToString()
    return content


def _simplify(model: Any, weights: Collection[str]) -> None:
    """Compute what is constant, but keep every weight as it is, under its name."""
    common = importlib.import_module("onnx_ir.passes.common")
    optimizer = importlib.import_module("onnxscript.optimizer")

    def should_fold(node: Any) -> bool | None:
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    common.InlinePass()(model)
    optimizer.fold_constants_ir(model, onnx_shape_inference=True, should_fold=should_fold)
    for tidy in (
        common.RemoveUnusedNodesPass,
        common.CommonSubexpressionEliminationPass,
        common.RemoveUnusedOpsetsPass,
    ):
        tidy()(model)


def _name(model: Any, found: Exported) -> None:
    """Give weights their names in the run, axes those of the rows, and the file what it says of itself."""
    for value in list(model.graph.initializers.values()):
        if value.name.startswith("net."):
            value.name = value.name.removeprefix("net.")
    said = found.to_json()
    model.producer_name, model.producer_version = "mytorch", said["versions"]["mytorch-experiments"]
    model.graph.name = said["run"]
    model.metadata_props.clear()
    model.metadata_props[METADATA] = json.dumps(said, ensure_ascii=False)


def _name_axes(graph: Any, names: Sequence[str]) -> None:
    """Call the free axes of the input, in their order, by names, and the same axes of everything else likewise."""
    free = [axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim if axis.dim_param]
    called = dict(zip(free, names, strict=False))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in called:
                axis.dim_param = called[axis.dim_param]


def _reason(error: BaseException, program: ExportedProgram, model: nn.Module) -> str:
    """Why a graph cannot be ONNX, with the layer if an operator is missing."""
    texts, cause = [], error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__  # type: ignore[assignment]
    missing = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", "\n".join(texts))
    if missing is None:
        return f"export: the model must be one that ONNX can hold, got {first_line(error)}"
    operator = missing[1]
    layers = layers_with(operator, program, model)
    where = f"{', '.join(layers)} must have" if layers else "every layer must have"
    return f"export: {where} operators of ONNX, got {operator}, which ONNX has not"
