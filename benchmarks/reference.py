"""Training steps in C: reference.c, compiled for one network and called through ctypes."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from networks import LR, MOMENTUM, STEPS, Batch, Weights
from side_by_side import Contestant

SOURCE = Path(__file__).with_name("reference.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
LANES = 16
"""Rows are padded to a multiple of it, and arrays begin at one: 64 bytes, the widest vector of today's processors."""


class NoCompilerError(RuntimeError):
    """There is no C compiler, or it refuses the source."""


class Reference:
    """A network that C trains on one batch.

    Raises: NoCompilerError
    """

    def __init__(self, weights: Weights, batch: Batch) -> None:
        sizes = [weights[0][0].shape[1], *(len(bias) for _, bias in weights)]
        inputs, targets = batch
        self.shapes = [tensor.shape for pair in weights for tensor in pair]
        self.values = _aligned(sum(shape.numel() for shape in self.shapes))
        self.values[:] = np.concatenate([tensor.numpy().ravel() for pair in weights for tensor in pair])
        arrays = [self.values, _aligned(self.values.size), *(_by_row(tensor.numpy()) for tensor in (inputs, targets))]
        self.arrays = arrays  # the pointers do not keep them alive
        self.pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        self.function = _compile(sizes, len(inputs))

    def train(self, steps: int) -> float:
        """The loss of the last of so many steps."""
        return self.function(steps, *self.pointers)  # type: ignore[no-any-return]

    def tensors(self) -> list[Any]:
        """Weight and bias of each layer."""
        cuts = np.cumsum([shape.numel() for shape in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(self.values, cuts), self.shapes, strict=True)]


def c_steps(weights: Weights, batch: Batch) -> Contestant:
    """Ten steps in one call of C."""
    made = Reference(weights, batch)
    return Contestant(lambda: made.train(STEPS))


def _compile(sizes: list[int], rows: int) -> Any:
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompilerError("reference.c: must be compiled, got no 'cc' on the path; install gcc or clang")
    text = ",".join(map(str, sizes))
    numbers = {"SIZES": text, "BATCH": rows, "WIDEST": max(sizes), "LR": f"{LR}f", "MOMENTUM": f"{MOMENTUM}f"}
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "reference.so"
        command = [compiler, *FLAGS, *(f"-D{name}={value}" for name, value in numbers.items()), str(SOURCE)]
        done = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoCompilerError(f"reference.c: {compiler} must accept it, got {done.stderr.strip()}; try gcc")
        function = ctypes.CDLL(str(library)).train
    function.restype = ctypes.c_float
    return function


def _aligned(length: int) -> Any:
    array = np.zeros(length + LANES, np.float32)
    start = -array.ctypes.data // array.itemsize % LANES
    return array[start : start + length]


def _by_row(array: Any) -> Any:
    rows, features = array.shape
    wide = -(-rows // LANES) * LANES
    turned = _aligned(features * wide).reshape(features, wide)
    turned[:, :rows] = array.T
    return turned
