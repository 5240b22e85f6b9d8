"""Losses of mytorch-nn, as mytorch-train averages them and mytorch-experiments reads what was trained with them."""

import pytest
import torch

from mytorch.data import TensorDataSet
from mytorch.experiments.predict.head import head_for
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


def test_a_subclass_is_read_as_what_it_derives_from():
    class Focal(CrossEntropyLoss):
        pass

    read = head_for(Focal.outputs, "as-is", ["no", "yes"], None).read(torch.tensor([[-3.0, -1.0]]))
    torch.testing.assert_close(read.probabilities, torch.tensor([[0.1192, 0.8808]]).double(), rtol=0, atol=5e-5)
