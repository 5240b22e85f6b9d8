"""Somebody's typed program is checked against the installed wheels by mypy and pyright: py.typed is of use."""

import json
import re
import sys

import pytest

PROGRAM = """\
import torch
from torch import Tensor

from mytorch.core import Module, Parameter, require_last_axis, require_upstream
from mytorch.data import TensorDataSet
from mytorch.experiments import load_experiment
from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
from mytorch.optim import SGD, StepLR
from mytorch.plugins import Callback
from mytorch.sklearn import MytorchClassifier
from mytorch.testing import check_layer
from mytorch.train import Accuracy, fit


class Scale(Module):
    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.gain = Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_last_axis(self, x, self.dim)
        return self.gain.value * x, x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor:
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, self.dim).sum(0))
        return self.gain.value * d_y


class Quiet(Callback):
    def on_training_end(self, error: BaseException | None) -> None:
        print(error)


net = Sequential(Linear(2, 3), ReLU(), Scale(3))
optimizer = SGD(net.param(), lr=0.1)
data = TensorDataSet(torch.randn(10, 2), torch.randint(3, (10,)))
fitted = fit(net, CrossEntropyLoss(), optimizer, data, epochs=1, schedule=StepLR(optimizer, 1), metrics=[Accuracy()])
results: dict[str, float] | None = fitted.test_results
weight: Parameter = Linear(2, 3).weight
accuracy: float = Accuracy().compute()
name: str = load_experiment("disk").name
passed: list[str] = check_layer(lambda: Scale(3), torch.randn(5, 3)).passed
classifier: MytorchClassifier = MytorchClassifier(hidden_layer_sizes=(3,))
"""
WRONG = """\
Linear("two", 3)  # wrong
SGD(net.param(), lr="fast")  # wrong
Linear(2, 3).wieght  # wrong
number: int = Accuracy().compute()  # wrong
"""


@pytest.fixture
def program(tmp_path):
    """The program's file, and the lines of it that are wrong."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM + WRONG)
    return path, [number for number, line in enumerate(path.read_text().splitlines(), 1) if "# wrong" in line]


def test_mypy(real, program, run_command, tmp_path):
    pytest.importorskip("mypy")
    path, wrong = program
    options = ["--strict", "--python-executable", real.python, "--cache-dir", tmp_path / "cache"]
    said, _ = run_command(sys.executable, "-m", "mypy", *options, path.name, folder=tmp_path, status=1)
    assert [int(line) for line in re.findall(r"(?m)^program\.py:(\d+): error", said)] == wrong, said


def test_pyright(real, program, run_command, tmp_path):
    pytest.importorskip("pyright")
    path, wrong = program
    options = ["--outputjson", "--pythonpath", real.python]
    said, _ = run_command(sys.executable, "-m", "pyright", *options, path.name, folder=tmp_path, status=1)
    found = [each for each in json.loads(said)["generalDiagnostics"] if each["severity"] == "error"]
    assert [each["range"]["start"]["line"] + 1 for each in found] == wrong, said
