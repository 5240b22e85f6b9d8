"""What a process that compiles is told, and what it leaves in its folder."""

from __future__ import annotations

import io
import pickle
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Self

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule
from torch.library import Library

from mytorch.train.compiled.program import Plan

ORDER, PACKAGE, REASON, LOG = "order", "step.pt2", "reason", "log"
"""Files of the folder: what it is told, the package, why there is none, and what it printed."""


@dataclass(frozen=True)
class Order:
    """A traced step, which needs none of the layers that it was traced from.

    It is pickled for a process of the same program on the same machine, by a folder that is its own, and never kept.
    """

    graph: GraphModule
    kinds: list[tuple[torch.Size, tuple[int, ...], torch.dtype]]
    """Shapes, strides and dtypes of the tensors that the graph takes."""
    key: str
    threads: int
    dtype: torch.dtype
    """The default dtype, which decides what comes of whole numbers."""

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The order for a plan, which is traced for it."""
        kinds = [(tensor.shape, tensor.stride(), tensor.dtype) for tensor in plan.arguments()]
        return cls(plan.graph(), kinds, plan.key, torch.get_num_threads(), torch.get_default_dtype())

    def packed(self) -> bytes:
        """As bytes. Raises what pickling raises."""
        file = io.BytesIO()
        pickle.dump(operator_modules(self.graph), file)
        pickle.dump(self, file)
        return file.getvalue()

    @staticmethod
    def unpacked(packed: bytes) -> Order:
        """The order again, with every operator known that the graph calls."""
        file = io.BytesIO(packed)
        for name in pickle.load(file):
            import_module(name)
        order: Order = pickle.load(file)
        return order

    def examples(self) -> list[Tensor]:
        """Tensors as the graph takes them."""
        return [torch.empty_strided(shape, strides, dtype=dtype) for shape, strides, dtype in self.kinds]


def operator_modules(graph: GraphModule) -> list[str]:
    """The modules that define operators of their own which a graph calls: each keeps its `torch.library.Library`."""
    defines = ("DEF", "FRAGMENT")
    called = {node.target.namespace for node in graph.graph.nodes if isinstance(node.target, OpOverload)}
    return [
        name
        for name, module in list(sys.modules.items())
        for value in list(getattr(module, "__dict__", {}).values())
        if type(value) is Library and value.kind in defines and value.ns in called
    ]
