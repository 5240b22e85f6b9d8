"""Our layers and optimizer: updates during the backward pass equal those after it, to the bit."""

import pytest
import torch

from mytorch.nn import (
    BatchNorm1d,
    CrossEntropyLoss,
    Dropout,
    Linear,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
)
from mytorch.optim import SGD, OneCycleLR
from mytorch.train import fit

SETTINGS = [
    {},
    {"lr": torch.tensor(0.05)},
    {"momentum": 0.9},
    {"momentum": torch.tensor(0.9)},
    {"momentum": 0.8, "dampening": 0.3, "maximize": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"weight_decay": 0.1},
]


def network():
    """With a layer used twice, tied parameters, a frozen layer, statistics of the batch and random numbers."""
    shared, first, last = Linear(6, 6), Linear(4, 6), Linear(6, 6, bias=False)
    last.weight = first_weight = Linear(6, 6).weight
    frozen = Linear(6, 6)
    for parameter in frozen.param():
        parameter.trainable = False
    tied = Linear(6, 6)
    tied.weight = first_weight
    inner = Sequential(shared, Dropout(0.3), ReLU(), Residual(Sequential(tied, Sigmoid())))
    return Sequential(first, BatchNorm1d(6), Tanh(), Residual(inner), shared, frozen, last, ReLU(), Linear(6, 3))


def train(settings, dtype, **options):
    torch.manual_seed(7)
    net = network().to(dtype)
    parameters = net.param()
    groups = [{"params": parameters[:3]}, {"params": parameters[3:], "lr": 0.01}]
    optimizer = SGD(groups, **{"lr": 0.05} | settings)
    cycles = "momentum" in settings and not isinstance(settings["momentum"], torch.Tensor)
    schedule = OneCycleLR(optimizer, max_lr=0.05, total_steps=15, cycle_momentum=cycles)
    x, classes = torch.randn(70, 4, dtype=dtype), torch.arange(70) % 3
    rows = [(x[index], classes[index]) for index in range(70)]
    options = {"epochs": 3, "batch_size": 16, "schedule": schedule, "quiet": True} | options
    return fit(net, CrossEntropyLoss(), optimizer, rows, **options)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_run_equals_the_plain_one(settings, dtype):
    plain, other = train(settings, dtype), train(settings, dtype, optimizer_in_backward=True)
    assert [record["train_loss"] for record in other.history] == [record["train_loss"] for record in plain.history]
    torch.testing.assert_close(other.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    held, expected = other.optimizer.state_dict()["state"], plain.optimizer.state_dict()["state"]
    torch.testing.assert_close(held, expected, rtol=0, atol=0)
