"""Small products of a compiled program: which they are, and what their machine code computes."""

import shutil

import pytest
import torch
from torch._dynamo.utils import counters
from torch.export import Dim, export
from torch.fx.experimental.proxy_tensor import make_fx

from mytorch.train.compiled import program
from mytorch.train.compiled.package import load_package
from mytorch.train.compiled.small_products import product, take_small_products

aten = torch.ops.aten
MM, ADDMM = aten.mm.default, aten.addmm.default
real_compile = program.compile_package


def replaced(function, *tensors, shapes=None):
    """How many products of an exported function become ours."""
    graph = export(make_fx(function)(*tensors), tensors, dynamic_shapes=shapes).graph_module
    products = [node for node in graph.graph.nodes if node.target in (MM, ADDMM)]
    assert products
    take_small_products(graph)
    left = [node for node in graph.graph.nodes if node.target in (MM, ADDMM)]
    return len(products) - len(left)


@pytest.mark.parametrize(
    ("rows", "length", "columns", "dtype", "small"),
    [
        (100, 25, 25, torch.float32, True),
        (1, 1, 1, torch.float64, True),
        (25, 512, 3, torch.float32, True),
        (25, 513, 3, torch.float32, False),
        (7, 9, 64, torch.float32, True),
        (7, 9, 65, torch.float32, False),
        (7, 9, 32, torch.float64, True),
        (7, 9, 33, torch.float64, False),
        (64, 64, 32, torch.float32, True),
        (65, 64, 32, torch.float32, False),
        (7, 0, 3, torch.float32, False),
        (7, 9, 3, torch.bfloat16, False),
    ],
)
def test_what_is_small(rows, length, columns, dtype, small):
    a, b, bias = (torch.randn(shape, dtype=dtype) for shape in ((rows, length), (length, columns), (columns,)))
    assert replaced(torch.mm, a, b) == small
    assert replaced(lambda a, b, bias: torch.addmm(bias, a, b), a, b, bias) == small


def test_what_is_no_plain_product_stays():
    a, b = torch.randn(4, 5), torch.randn(5, 3)
    assert replaced(lambda a, b, bias: torch.addmm(bias, a, b, beta=2), a, b, torch.randn(3)) == 0
    assert replaced(lambda a, b, bias: torch.addmm(bias, a, b), a, b, torch.randn(4, 3)) == 0
    assert replaced(lambda a, b, bias: torch.addmm(bias, a, b), a, b, torch.randn(1)) == 0
    assert replaced(torch.mm, a, b, shapes=({0: Dim.DYNAMIC}, None)) == 0


def test_the_operator_itself_is_the_product():
    a, b, bias = torch.randn(4, 5), torch.randn(5, 3), torch.randn(3)
    torch.testing.assert_close(product(a, b, None), a @ b)
    torch.testing.assert_close(torch.ops.mytorch_train.product(a, b, bias), a @ b + bias)


SIZES = [(31, 25, 2), (25, 2, 62), (1, 7, 1), (31, 33, 17), (5, 300, 64), (1, 3, 5)]
"""Rows, columns of a or terms of a sum, and columns of b: no, one and several whole vectors in a row, and a rest."""


def several(*tensors):
    """Products of three tensors each: plain, with a bias, and of views that lie transposed and begin within others."""
    found = []
    for a, b, bias in zip(tensors[::3], tensors[1::3], tensors[2::3], strict=True):
        found += [a.mm(b), torch.addmm(bias, a.relu(), b), b.t().mm(a.t())]
        found += [torch.addmm(bias, a[:, 1:], b[1:])] if a.shape[1] > 1 else []
        found += [a.t().mm(a).relu()] if a.shape[1] <= 32 else []
        b.mul_(2)  # after its products
    return found


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_machine_code_computes_products(dtype, tmp_path):
    if not shutil.which("g++"):
        pytest.skip("this test needs a C++ compiler")
    sizes = [(rows, length, columns * 4 // dtype.itemsize or 1) for rows, length, columns in SIZES]
    shapes = [shape for m, k, n in sizes for shape in ((m, k), (k, n), (n,))]
    tensors = [torch.randn(shape, dtype=dtype) for shape in shapes]
    graph = make_fx(several, tracing_mode="fake")(*tensors)
    calls = sum(node.target in (MM, ADDMM) for node in graph.graph.nodes)
    before = counters["inductor"]["cpp_templated_kernel_counter"]
    real_compile(graph, tensors, tmp_path / "products.pt2", {})
    assert counters["inductor"]["cpp_templated_kernel_counter"] - before == calls
    exact = [tensor.to(torch.float64, copy=True) for tensor in tensors]
    found, expected = load_package(tmp_path / "products.pt2").run(tensors), several(*exact)
    assert len(found) == len(expected) == calls
    for one, other in zip([*found, *tensors], [*expected, *exact], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-12 if dtype is torch.float64 else 1e-4)
