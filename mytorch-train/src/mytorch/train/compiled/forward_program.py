"""A compiled forward pass: made, given the model's weights, and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from mytorch.core import Buffer, Module, Parameter
from mytorch.train.compiled.cache import KEY, fetch
from mytorch.train.compiled.key import key_of, kind_of_tensor
from mytorch.train.compiled.program import ANY_WEIGHTS, compile_package
from mytorch.train.compiled.trace import TraceError, tracing
from mytorch.train.evaluation import predict

ROWS = 61
"""Of the example that is traced: at least so many, and as no other axis has, so that rows are told from columns."""


TRIED = (*range(2, ROWS), 2**40)
"""Numbers of rows for which everything that Python asked about the rows must have the same answer."""


@dataclass
class ForwardProgram:
    """A forward pass in one call, for any number of rows.

    It reads the model's own weights where they lie, so a change in place is seen at once.
    """

    loader: Any
    structure: Any
    """How its results make up the model's output."""
    weights: dict[str, Parameter | Buffer]
    """By the names that the machine code has for them."""
    constants: dict[str, Tensor]
    """Tensors of layers that are neither parameter nor buffer, likewise."""
    checked: set[int] = field(default_factory=set)
    """For 0, 1 and more rows, as 2: whether the results were found equal to eager ones."""
    held: list[tuple[Parameter | Buffer, Tensor]] = field(default_factory=list)

    def follow(self) -> bool:
        """Let the machine code read the weights that the model has now; False if they are not of the same kind."""
        held = [(weight, weight.value) for weight in self.weights.values()]
        for (_, before), (_, now) in zip(self.held, held, strict=False):
            if kind_of_tensor(before) != kind_of_tensor(now):
                return False
        values = {name: weight.value for name, weight in self.weights.items()}
        self.loader.load_constants(self.constants | values, False, True, True)  # the last: without copying them
        self.held = held
        return True

    def in_place(self) -> bool:
        """Whether every weight is still the tensor that the machine code reads."""
        for weight, value in self.held:  # noqa: SIM110 - a third of the time that all() takes
            if weight.value is not value:
                return False
        return True

    def run(self, inputs: Sequence[Tensor]) -> Any:
        """The model's output."""
        found = self.loader.run([x if x.is_contiguous() else x.contiguous() for x in inputs])
        return found[0] if self.structure is None else pytree.tree_unflatten(found, self.structure)


def make_forward(
    net: Module, inputs: Sequence[Tensor], judging: Callable[[], Any], say: Callable[[str], object]
) -> ForwardProgram:
    """Trace the forward pass of a net, within `judging()`, and compile it unless the cache has it."""
    others = {size for x in inputs for size in x.shape[1:]}
    rows = next(size for size in range(ROWS, ROWS + len(others) + 1) if size not in others)
    with torch.inference_mode(False):
        examples = [torch.zeros(rows, *x.shape[1:], dtype=x.dtype) for x in inputs]
    with judging():  # not while compiling, since other threads may wait for it
        graph, structure = trace_forward(net, examples)
    owners = {id(held.value): held for _, held in net.named_state()}
    tensors = {node.target: getattr(graph, node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    weights = {name: owners[id(tensor)] for name, tensor in tensors.items() if id(tensor) in owners}
    columns = [kind_of_tensor(example) for example in examples]  # which the graph may leave open
    key = key_of(graph, f"forward {columns} {ANY_WEIGHTS}", weights)

    def compile_to(path: Any) -> None:
        say("compiling the forward pass; this takes up to a minute, the first time")
        for name in weights:  # wrong results show if a weight became part of the code
            setattr(graph, name, _stand_in(tensors[name]))
        compile_package(graph, examples, path, {KEY: key}, any_rows=True)

    constants = {name: tensor for name, tensor in tensors.items() if name not in weights}
    program = ForwardProgram(fetch(key, compile_to), structure, weights, constants)
    program.follow()
    return program


def trace_forward(net: Module, examples: Sequence[Tensor]) -> tuple[GraphModule, Any]:
    """The graph of the forward pass, and how its results make up the output: None for a single tensor."""
    structure: Any = None

    def call(*tensors: Tensor) -> list[Tensor]:
        nonlocal structure
        leaves, spec = pytree.tree_flatten(predict(net, tensors))
        if wrong := [leaf for leaf in leaves if not isinstance(leaf, Tensor)]:
            raise TraceError(f"a model's output must consist of tensors, got {type(wrong[0]).__name__}")
        structure = None if spec.is_leaf() else spec
        return leaves

    with tracing():
        graph = make_fx(call, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*examples)
    _require_any_rows(graph)
    return graph, structure


def _require_any_rows(graph: GraphModule) -> None:
    """Raise TraceError if Python decided by the number of rows, so that the graph is good for some only."""
    first = next(node for node in graph.graph.nodes if node.op == "placeholder").meta["val"]
    if isinstance(first.shape[0], int):
        raise TraceError(f"Python code must not depend on the number of rows, got rows == {first.shape[0]}")
    rows = first.shape[0].node.expr
    for guard in first.shape[0].node.shape_env.guards:
        if any(guard.expr.xreplace({rows: size}) == False for size in TRIED):  # noqa: E712 - it is sympy's
            asked = str(guard.expr).replace(str(rows), "rows")
            raise TraceError(f"Python code must not depend on the number of rows, got {asked}")


def _stand_in(tensor: Tensor) -> Tensor:
    with torch.inference_mode(False):
        if not tensor.is_floating_point():
            return tensor.clone()
        return torch.empty_like(tensor).uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))
