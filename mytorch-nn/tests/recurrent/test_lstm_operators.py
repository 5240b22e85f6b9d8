"""The operators of an LSTM, which anybody can call, refuse what the kernel would read or write beyond."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.numbers

CALLS = """
import torch
from mytorch.core import ShapeError
import mytorch.nn.recurrent._lstm_operators
forward, backward = torch.ops.mytorch_nn.lstm, torch.ops.mytorch_nn.lstm_backward
x, h, c = torch.randn(5, 2, 3), torch.randn(2, 4), torch.randn(2, 4)
good = [torch.randn(16, 3), torch.randn(16, 4), torch.randn(16), torch.randn(16), h, c]
*kept, workspace = forward(x, *good, False, True)
d_y = torch.randn(5, 2, 4)
assert len(backward(x, *good, *kept, d_y, h, c, workspace, False, True)) == 6
refused = 0
for place, short in enumerate([t[:1] for t in good]):
    given = [*good[:place], short, *good[place + 1 :]]
    for call in (
        lambda: forward(x, *given, False, True),
        lambda: backward(x, *given, *kept, d_y, h, c, workspace, False, True),
    ):
        try:
            call()
        except ShapeError as error:
            refused += str(error).startswith("LSTM: ")
for wrong in (x[:0], x[0], x[..., :1], x[:, :1]):
    try:
        forward(wrong, *good, False, True)
    except ShapeError:
        refused += 1
for upstream in (d_y[:1], d_y[:, :1], d_y[..., :2]):
    try:
        backward(x, *good, *kept, upstream, h, c, workspace, False, True)
    except ShapeError:
        refused += 1
print(refused)
"""


def test_shapes_that_do_not_fit_end_no_process():
    done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "19\n"), done.stderr
