"""Layers that take another kernel than torch, most for large inputs alone, agree with it on any strides and dtype.

In a process of their own, since kernels that are given what they do not check may end it.
"""

import subprocess
import sys

import pytest

TRIED = """
import itertools
import sys
import torch
from mytorch import nn

made, sizes, counts = map(eval, sys.argv[1:])

def laid_out(values):
    yield values
    yield values.transpose(-1, -2).contiguous().transpose(-1, -2)
    yield values.movedim(1, -1).contiguous().movedim(-1, 1)
    yield torch.stack([values, values], -1)[..., 0]
    yield values[..., :1].expand(values.shape)

for rows, dtype in itertools.product(counts, (torch.float64, torch.float32, torch.bfloat16, torch.float16)):
    torch.manual_seed(0)
    loose = {torch.float64: 1e-9, torch.float32: 1e-3}.get(dtype, 5e-2)
    for x in laid_out(torch.randn(rows, *sizes).to(dtype)):
        layer, twin = made(nn), made(torch.nn)
        if dtype is not torch.float32:
            layer, twin = layer.to(dtype), twin.to(dtype)
        leaf = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        expected = twin(leaf)
        for d_y in laid_out(torch.randn(expected.shape).to(dtype)):
            layer.zero_grad(), twin.zero_grad()
            leaf.grad = None
            y, saved = layer.forward(x)
            d_x = layer.backward(d_y, saved)
            expected = twin(leaf)
            expected.backward(d_y.contiguous())  # torch's of one image's instances is wrong for channels-last
            torch.testing.assert_close(y, expected, rtol=loose, atol=loose)
            torch.testing.assert_close(d_x, leaf.grad, rtol=loose, atol=loose)
            if x.stride(-1) == 0 or loose == 5e-2:
                continue  # torch's gradient of the scale is rounding: of equal numbers, and of sums in half precision
            for ours, theirs in zip(layer.param(), twin.parameters()):
                scale = d_y.abs().sum().clamp(min=1) / 100  # a sum of so many rounds as they do
                torch.testing.assert_close(ours.grad / scale, theirs.grad / scale, rtol=loose, atol=loose)
print("all")
"""

MADE = {
    "lambda n: n.BatchNorm1d(4)": (4, 2100),
    "lambda n: n.BatchNorm2d(4)": (4, 50, 44),
    "lambda n: n.InstanceNorm2d(4, affine=True)": (4, 6, 5),
    "lambda n: n.MaxPool1d(2)": (16, 300),
    "lambda n: n.MaxPool2d(3, 2, 1)": (17, 16, 20),
    "lambda n: n.Unfold(3, padding=1)": (3, 30, 28),
    "lambda n: n.Fold((30, 28), 3, padding=1)": (27, 840),
}


@pytest.mark.parametrize("made", MADE)
def test_any_strides_dtype_and_number_of_rows(made):
    counts = (1, 8) if "InstanceNorm" in made else (0, 1, 8)  # torch normalises no batch of no instances
    command = [sys.executable, "-c", TRIED, made, repr(MADE[made]), repr(counts)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (0, "all\n"), process.stderr[-2000:]
