"""Averages of the losses of mytorch-nn, as mytorch-train takes them."""

import pytest
import torch

from mytorch.data import TensorDataSet
from mytorch.nn import CrossEntropyLoss, Linear
from mytorch.train import evaluate

ROWS = 10


def few_classes(seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = Linear(3, 4)
    inputs = torch.randn(ROWS, 3, generator=generator)
    return net, TensorDataSet(inputs, torch.randint(0, 4, (ROWS,), generator=generator))


@pytest.mark.parametrize(
    "options",
    [
        {"weight": torch.tensor([0.1, 5.0, 1.0, 0.0])},
        {"ignore_index": 2},
        {"weight": torch.tensor([0.1, 5.0, 1.0, 3.0]), "ignore_index": 1, "label_smoothing": 0.1},
        {"weight": torch.tensor([0.1, 5.0, 1.0, 3.0]), "reduction": "sum"},
    ],
    ids=lambda options: "+".join(options),
)
def test_the_mean_does_not_depend_on_the_batches(options):
    net, data = few_classes()
    whole = {**options, "reduction": "mean"}
    expected = torch.nn.CrossEntropyLoss(**whole)(net(data.inputs), data.targets)
    for batch_size in (10, 3, 1):
        found = evaluate(net, CrossEntropyLoss(**options), data, batch_size=batch_size)["loss"]
        assert found == pytest.approx(float(expected), rel=1e-6)
