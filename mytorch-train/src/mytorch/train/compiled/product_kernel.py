"""The machine code of the operator `product`: importing this tells torch's compiler of product.h."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch._inductor import ir
from torch._inductor.lowering import register_lowering  # before the templates, which import it in a circle

from torch._inductor.codegen.cpp_template import CppTemplate  # isort: skip
from torch._inductor.codegen.cpp_template_kernel import CppTemplateKernel  # isort: skip
from torch._inductor.codegen.cpp_utils import DTYPE_TO_CPP  # isort: skip
from torch._inductor.utils import Placeholder  # isort: skip

import mytorch.train.compiled.small_products  # noqa: F401 - defines the operator

HEADER = Path(__file__).with_name("product.h").read_text(encoding="utf-8")
SOURCE = """{{header}}
#ifndef MYTORCH_PRODUCT
#define MYTORCH_PRODUCT
{{product}}
#endif
extern "C"
{{function}}
{
    Product<{{numbers}}>::run({{pointers}}, out);
}
"""


class ProductTemplate(CppTemplate):
    """The source of one product, with its sizes and strides as constants."""

    def __init__(self, nodes: list[Any], layout: Any) -> None:
        super().__init__("product", nodes, layout, num_threads=1)

    def render(self, kernel: Any, out: Any, **_options: Any) -> str:  # type: ignore[override]
        a, b, *bias = self.input_nodes
        names = dict(zip(("a", "b", "bias"), self.input_nodes, strict=False))
        function = kernel.def_kernel(inputs=names, outputs={"out": out})
        sizes = [*a.get_size(), b.get_size()[1]]
        numbers = [sizes[0], sizes[2], sizes[1], *a.get_stride(), *b.get_stride(), str(bool(bias)).lower()]
        pointers = [f"&{kernel.index(node, [0] * len(node.get_size()))}" for node in self.input_nodes]
        text: str = self._template_from_string(SOURCE).render(
            header=self.header().getvalue(),
            product=HEADER,
            function=function,
            numbers=", ".join([DTYPE_TO_CPP[a.get_dtype()], *map(str, numbers)]),
            pointers=", ".join([*pointers, *["nullptr"] * (not bias)]),
        )
        return text


@register_lowering(torch.ops.mytorch_train.product.default, type_promotion_kind=None)
def lower_product(a: Any, b: Any, bias: Any) -> Any:
    """A buffer that is filled by the template. What follows is not put into it: that is a pass over few numbers."""
    nodes = [ir.ExternKernel.realize_input(node) for node in (a, b, bias) if node is not None]
    layout = ir.FixedLayout(a.get_device(), a.get_dtype(), [a.get_size()[0], b.get_size()[1]])
    template = ProductTemplate(nodes, layout)

    def make_kernel_render(buffer: Any, **_options: Any) -> Any:
        kernel = CppTemplateKernel(str(Placeholder.KERNEL_NAME), 1)
        return kernel, partial(kernel.render, template, out=buffer)

    buffer = ir.CppTemplateBuffer(layout, nodes, make_kernel_render, template, None)  # type: ignore[arg-type]
    buffer.allow_epilogue_fusion = False
    return ir.TensorBox.create(buffer)
