"""The saved value of a layer of the same class but of other channels: refused, and no process ends."""

import subprocess
import sys

import pytest

CASES = {
    "InstanceNorm1d of more": ("InstanceNorm1d({}, affine=True)", 4096, 2, (2, 2, 5)),
    "InstanceNorm1d of fewer": ("InstanceNorm1d({}, affine=True)", 2, 4096, (2, 4096, 5)),
    "BatchNorm2d of more": ("BatchNorm2d({})", 4096, 2, (2, 2, 5, 5)),
    "BatchNorm2d of fewer": ("BatchNorm2d({})", 2, 4096, (2, 4096, 5, 5)),
    "BatchNorm2d in evaluation": ("BatchNorm2d({}).eval()", 2, 4096, (2, 4096, 5, 5)),
    "Conv2d": ("Conv2d({}, 4, 3)", 64, 1, (2, 1, 9, 9)),
    "ConvTranspose2d": ("ConvTranspose2d({}, 4, 3)", 64, 1, (2, 1, 9, 9)),
}
SCRIPT = """
import torch
from mytorch.core import ArgumentError
from mytorch import nn
own, other = nn.{own}, nn.{other}
y, saved = other.forward(torch.randn({shape}))
try:
    own.backward(torch.randn(y.shape), saved)
except ArgumentError as error:
    print(error)
"""


@pytest.mark.parametrize(("layer", "channels", "others", "shape"), CASES.values(), ids=CASES)
def test_channels_of_another_layer(layer, channels, others, shape):
    script = SCRIPT.format(own=layer.format(channels), other=layer.format(others), shape=shape)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"{layer.split('(')[0]}: saved must be that of a layer with {channels} " in run.stdout
