"""Checkpoint in every way of training: the numbers are those of the layers that it holds, to the bit."""

import pytest
import torch

from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.training.train_experiment import start
from mytorch.nn import BatchNorm1d, Checkpoint, Dropout, Linear, MSELoss, Sequential, Tanh
from mytorch.plugins import Hooks
from mytorch.train import explain

BLOCK = [
    {"type": "Linear", "in_features": 8, "out_features": 8},
    {"type": "BatchNorm1d", "num_features": 8},
    {"type": "Tanh"},
    {"type": "Dropout", "p": 0.3},
]


def trained(inner, **changes):
    """The state after two epochs; inner: what stands for the block in the middle."""
    layers = [
        {"type": "Linear", "in_features": 2, "out_features": 8},
        inner,
        {"type": "Linear", "in_features": 8, "out_features": 2},
    ]
    experiment = load_experiment(
        {
            "name": "checkpoint",
            "threads": 1,
            "epochs": 2,
            "batch_size": 10,
            "data": {"train": {"type": "Disk", "samples": 40}, "targets": "one-hot"},
            "model": {"type": "Sequential", "layers": layers},
            "loss": {"type": "MSELoss"},
            "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
            **changes,
        }
    )
    training = start(build(experiment), Hooks())
    training.run()
    return list(training.net.state_dict().values())


@pytest.mark.parametrize("changes", [{}, {"optimizer_in_backward": True}, {"clip_grad_norm": 0.1}], ids=str)
def test_a_training(changes):
    block = {"type": "Sequential", "layers": BLOCK}
    expected = trained(block, **changes)
    actual = trained({"type": "Checkpoint", "inner": block}, **changes)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_the_compiled_engine(interpreted):
    block = {"type": "Sequential", "layers": BLOCK[:3]}
    expected = trained(block, engine="compiled")
    actual = trained({"type": "Checkpoint", "inner": block}, engine="compiled")
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_explain_shows_the_second_forward_within_the_backward_pass():
    net = Sequential(Linear(3, 3), Checkpoint(Sequential(Linear(3, 3), BatchNorm1d(3), Dropout(0.5), Tanh())))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = explain(net, MSELoss(), torch.randn(5, 3), torch.randn(5, 3))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    paths = [step.path for step in found.of("forward")]
    assert paths.count("1.inner.0") == 2
    assert paths.count("0") == 1
    assert [step.path for step in found.of("backward")][-2:] == ["1.inner.0", "0"]
