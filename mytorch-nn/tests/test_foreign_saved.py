"""The saved value of another instance of the same class is refused or taken, never answered in torch's text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mytorch.plugins import catalogue

TRIES = Path(__file__).parent / "toys" / "foreign_saved.py"
PARTS = [
    part.name for kind in ("layer", "loss") for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"
]
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
from mytorch.nn import *
{cases}
"""
CASE = """
print("{name}")
own, other = {own}, {other}
y, saved = other.forward(torch.randn({shape}))
try:
    own.backward(torch.randn(y.shape), saved)
except ArgumentError as error:
    print(error, flush=True)
"""


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def refused():
    """What each layer says of what one with other channels saved, in a process that a kernel may end."""
    cases = [
        CASE.format(name=name, own=layer.format(channels), other=layer.format(others), shape=shape)
        for name, (layer, channels, others, shape) in CASES.items()
    ]
    process = run("-c", SCRIPT.format(cases="".join(cases)))
    lines = process.stdout.splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=False)), process


@pytest.mark.parametrize("name", CASES)
def test_channels_of_another_layer(name, refused):
    said, process = refused
    ended = f"the process ended before or with it: {process.returncode} {process.stderr[-500:]}"
    assert (name in said, process.returncode) == (True, 0), ended
    layer, channels, *_ = CASES[name]
    assert f"{layer.split('(')[0]}: saved must be that of a layer with {channels} " in said[name]


@pytest.fixture(scope="module")
def tried():
    """For each part, what came of the saved values of others of its class; see toys/foreign_saved.py."""
    process = run(TRIES)
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return {line["part"]: line["faults"] for line in lines}, process


@pytest.mark.parametrize("part", PARTS)
def test_every_part_refuses_or_takes_what_others_of_its_class_saved(part, tried):
    faults, process = tried
    assert part in faults, f"the process ended before or with it: {process.returncode} {process.stderr[-500:]}"
    assert not faults[part]
