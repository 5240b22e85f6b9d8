"""Which products of matrices a compiled program computes by loops of its own instead of a call of the library."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

COLUMNS, LENGTH, TERMS = 256, 512, 2**17
"""At most so many bytes in a row of the result, terms in a sum, and terms in all sums. Of larger products the library
is as fast, since its call costs about a microsecond, and it blocks them for the caches."""
LIBRARY = torch.library.Library("mytorch_train", "DEF")
LIBRARY.define("product(Tensor a, Tensor b, Tensor? bias) -> Tensor")


def product(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """a @ b + bias, where a compiler is not concerned."""
    return a.mm(b) if bias is None else torch.addmm(bias, a, b)


LIBRARY.impl("product", product, "CPU")
torch.library.register_fake("mytorch_train::product", lambda a, b, _: a.new_empty(a.shape[0], b.shape[1]), lib=LIBRARY)


def take_small_products(graph: GraphModule) -> None:
    """Put the operator `product` in the place of each small `mm` and `addmm`, within the graph."""
    for node in graph.graph.nodes:
        factors = _factors(node)
        if factors is not None and _is_small(*(_tensor(factor) for factor in factors)):
            node.target, node.args = torch.ops.mytorch_train.product.default, factors
    graph.recompile()


def _factors(node: Node) -> tuple[Any, Any, Any] | None:
    """What a node multiplies and adds to each row; None for another operation."""
    if node.target is torch.ops.aten.mm.default:
        a, b = node.args
        return a, b, None
    if node.target is torch.ops.aten.addmm.default and not node.kwargs:
        bias, a, b = node.args
        return a, b, bias
    return None


def _tensor(argument: Any) -> Any:
    return None if argument is None else argument.meta["val"]


def _is_small(a: Tensor, b: Tensor, bias: Tensor | None) -> bool:
    (rows, length), columns = a.shape, b.shape[1]
    if not all(type(size) is int and size for size in (rows, length, columns)):
        return False  # of any number of rows, or empty
    if a.device.type != "cpu" or a.dtype not in (torch.float32, torch.float64):
        return False
    if bias is not None and bias.shape != (columns,):
        return False
    return columns * a.itemsize <= COLUMNS and length <= LENGTH and rows * length * columns <= TERMS
