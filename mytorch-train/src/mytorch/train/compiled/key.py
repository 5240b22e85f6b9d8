"""The name under which a compiled step is kept: whatever decides its machine code is in it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Collection
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from mytorch.train.compiled.trace import TraceError


def key_of(graph: GraphModule, steps: int | str, weights: Collection[str] = ()) -> str:
    """A hash of the graph of one step (or of something else), the steps a call, the versions and the machine.

    The graph, with its shapes, dtypes and constants, is what model, loss, optimizer, their settings, the batch and
    their sources come down to.
    weights: names of constants whose values do not matter.
    """
    kinds = [kind_of_tensor(node.meta.get("val")) for node in graph.graph.nodes]
    digest = hashlib.sha256(repr((graph.code, kinds, steps, surroundings())).encode())
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            constant = getattr(graph, node.target)
            if not isinstance(constant, Tensor):
                raise TraceError(f"a step must consist of tensors, got a {type(constant).__name__} of a layer's own")
            digest.update(repr((node.target, kind_of_tensor(constant), node.target in weights)).encode())
            if node.target in weights:
                continue
            digest.update(constant.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:40]


def kind_of_tensor(value: Any) -> Any:
    """Shape, strides, dtype and place of a tensor, or of each in a list."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.stride(), str(value.dtype), str(value.device)
    return [kind_of_tensor(entry) for entry in value] if isinstance(value, (tuple, list)) else str(type(value))


def surroundings() -> tuple[str, ...]:
    """Versions, processor and threads."""
    return (
        *(torch.__version__, version("mytorch-core"), version("mytorch-train")),
        *(platform.python_version(), platform.system(), *processor()),
        str(torch.get_num_threads()),
    )


@cache
def processor() -> tuple[str, ...]:
    """What the compiler may use of this processor."""
    flags = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:  # not Linux
        flags = platform.processor()
    return platform.machine(), torch.backends.cpu.get_cpu_capability(), flags
