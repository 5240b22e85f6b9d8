"""A schedule that follows a number of the history, in a training and in an experiment."""

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.data import Disk
from mytorch.experiments import ExperimentError, train_experiment
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
from mytorch.optim import SGD, ReduceLROnPlateau
from mytorch.train import fit

EXPERIMENT = {
    "name": "plateau",
    "epochs": 4,
    "batch_size": 20,
    "data": {"train": {"type": "Disk", "samples": 60}, "split": {"validation": 0.3}},
    "model": {"type": "Sequential", "layers": [{"type": "Linear", "in_features": 2, "out_features": 2}]},
    "loss": {"type": "CrossEntropyLoss"},
    "optimizer": {"type": "SGD", "lr": 0.5},
    "schedule": {"type": "ReduceLROnPlateau", "patience": 0, "threshold": 10.0},
}


def train(epochs, **options):
    torch.manual_seed(0)
    net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
    optimizer = SGD(net.param(), lr=2.0)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1, **options)
    given = net, CrossEntropyLoss(), optimizer, Disk(60)
    parts = {"validation": Disk(40, seed=1), "test": Disk(40, seed=2), "batch_size": 20}
    return [
        record
        for part in epochs
        for record in fit(*given, epochs=part, schedule=schedule, quiet=True, **parts).history
    ]


@pytest.mark.parametrize("monitor", ["validation_loss", "test_loss"])
@pytest.mark.parametrize("epochs", [(12,), (1,) * 12])
def test_the_rates_are_those_of_torch_for_the_same_losses(monitor, epochs):
    history = train(epochs, **({} if monitor == "validation_loss" else {"monitor": monitor}))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    twin = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    rates = []
    for record in history:
        rates.append(optimizer.param_groups[0]["lr"])
        twin.step(record[monitor])
    assert [record["lr"] for record in history] == rates
    assert rates[-1] < 2.0


def test_an_experiment_has_one_and_says_so_when_the_part_is_missing(tmp_path):
    run = train_experiment(EXPERIMENT, output=tmp_path, quiet=True)
    assert [record["lr"] for record in run.history] == pytest.approx([0.5, 0.05, 0.005, 0.0005])
    content = EXPERIMENT | {"data": {"train": {"type": "Disk", "samples": 60}}}
    text = (
        "ReduceLROnPlateau: monitor must be one of train_loss, got 'validation_loss'; give the run a validation part"
    )
    with pytest.raises(ArgumentError, match=text):
        train_experiment(content, output=tmp_path / "none", quiet=True)
    assert not (tmp_path / "none").exists()
    with pytest.raises(ExperimentError, match=text):
        check_experiment(content)
