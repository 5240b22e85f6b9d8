"""The graph that torch.export records of a model, for any number of rows."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export
from torch.fx import Graph, GraphModule

from mytorch.core import random_state
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.model_of import Exported
from mytorch.experiments.export.own_forward import OwnForward
from mytorch.plugins import COMPILING, is_older
from mytorch.train.compiled.reason import first_line

ROWS = 3
"""Of the example that is recorded."""
LOGS = (
    *("torch.onnx", "torch.export", "torch._export", "torch._subclasses", "onnxscript"),
    "torch.fx.experimental.symbolic_shapes",
)


def record(exported: Exported) -> ExportedProgram:
    """The graph of a model: of any number of rows, and of any number of steps where rows are sequences.

    A text whose model knows one length only, as with an RNN, keeps that of the training.
    Raises ExportError, with the layer where it is known, and with a torch that records less.
    """
    if is_older(torch.__version__, COMPILING):
        raise ExportError(
            f"export: torch must be {COMPILING} or newer to record a model, got {torch.__version__}; install a newer "
            "one, or write the model for PyTorch alone: mytorch export torch RUN"
        )
    rows = exported.rows
    free = {0: Dim("rows"), 1: Dim("steps")} if rows.steps else {0: Dim("rows")}
    if not rows.steps:
        return _record(exported, free)
    with suppress(ExportError):
        return _record(exported, free)
    torch.compiler.reset()  # a loop over steps that was recorded before left guards against its number
    try:
        return _record(exported, free)
    except ExportError:
        if rows.dtype.is_floating_point:  # only texts have a length of their own
            raise
        return _record(exported, {0: Dim("rows")})


def _record(exported: Exported, free: dict[int, Any]) -> ExportedProgram:
    model, example = exported.model, exported.rows.example(ROWS)
    try:
        with quiet(), random_state(), torch.no_grad(), any_steps():
            return export(model, (example,), dynamic_shapes={"rows": free}, strict=False)
    except Exception as error:
        layer = _layer_of(error.__traceback__, model)
        if layer is None and "Constraints violated" in str(error):
            what = " or ".join(
                name for name in ("rows", "steps") if f"({name}" in str(error) or f"{name} =" in str(error)
            )
            own = [
                f"{path.removeprefix('net.')!r}"
                for path, part in model.named_modules()
                if isinstance(part, OwnForward)
            ]
            hint = f"; layers that compute by their own forward are {', '.join(own)}" if own else ""
            raise ExportError(
                f"export: the number of {what} must be free, got a model that computes with one number in Python{hint}"
            ) from error
        at = "the model" if layer is None else layer
        raise ExportError(
            f"export: {at} must be a graph that torch.export can record, got {first_line(error)}"
        ) from error


def as_recorded(found: Exported, program: ExportedProgram) -> Exported:
    """The same, whose rows have the one number of steps that was recorded, unless any will do."""
    (rows,) = (node.meta["val"] for node in program.graph.nodes if node.name == "rows")
    if found.rows.steps and isinstance(rows.shape[1], int):
        return replace(found, rows=replace(found.rows, steps=False))
    return found


def graphs_of(program: ExportedProgram) -> Iterator[Graph]:
    """The graph of a program, and those within it, such as the body of a loop."""
    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            yield module.graph


def layers_with(operator: str, program: ExportedProgram, model: nn.Module) -> list[str]:
    """The layers that call an operator such as aten.fft, or, if none does, operators that are made of it."""
    if found := _recorded_with(operator, program, model):
        return found
    with quiet():
        return _recorded_with(operator, program.run_decompositions(), model)


def _recorded_with(operator: str, program: ExportedProgram, model: nn.Module) -> list[str]:
    nodes = [node for graph in graphs_of(program) for node in graph.nodes if operator in str(node.target)]
    stacks = [list(node.meta.get("nn_module_stack", {}).values()) for node in nodes]
    paths = dict.fromkeys(str(stack[-1][0]) for stack in stacks if stack)
    return [named_layer(path, model.get_submodule(path)._get_name()) for path in paths]


def _layer_of(trace: TracebackType | None, model: nn.Module) -> str | None:
    """The innermost layer in which an error was raised, as messages name it."""
    names = {id(module): name for name, module in model.named_modules() if name}
    found = None
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            found = named_layer(names[id(owner)], owner._get_name())
        trace = trace.tb_next
    return found


def named_layer(path: str, kind: str) -> str:
    """A layer of an exported model as messages name it: by its place in the run's net."""
    if path in ("prepare", "read", "net"):
        return {"prepare": "the preparation", "read": "the reading of outputs", "net": f"the net ({kind})"}[path]
    return f"layer {path.removeprefix('net.')!r} ({kind})"


@contextmanager
def any_steps() -> Iterator[None]:
    """Within this context, LSTM and GRU are recorded for any number of steps, and attention without its fast path."""
    from torch.export import _patches

    names = ("register_lstm_while_loop_decomposition", "register_gru_while_loop_decomposition")
    before = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.callback(_forget_kernels)
        for name in names:
            if hasattr(_patches, name):  # newer torch has more of them
                stack.enter_context(getattr(_patches, name)())
        _forget_kernels()
        stack.callback(torch.backends.mha.set_fastpath_enabled, before)
        torch.backends.mha.set_fastpath_enabled(False)
        yield


def _forget_kernels() -> None:
    """Let torch look up anew what computes an LSTM or GRU: it keeps what was registered when it was last recorded."""
    for operator in (torch.ops.aten.lstm.input, torch.ops.aten.gru.input):
        operator._dispatch_cache.clear()


@contextmanager
def quiet() -> Iterator[None]:
    """Within this context, torch's exporters log, print and warn of nothing: an error says enough."""
    logs = [logging.getLogger(name) for name in LOGS]
    levels = [log.level for log in logs]
    try:
        for log in logs:
            log.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # where torch prints graphs that end early
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
