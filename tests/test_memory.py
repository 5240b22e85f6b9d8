"""Steps that need less memory, with the layers of mytorch.nn."""

import pytest
import torch

from mytorch import nn
from mytorch.data import TensorDataSet
from mytorch.optim import AdamW
from mytorch.train import fit
from mytorch.train.memory import least_bytes, measure
from mytorch.train.memory.plan import peak_of

pytestmark = pytest.mark.numbers
LETTERS = 5


def convolutions():
    def block():
        return nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout2d(0.2)))

    layers = [nn.Conv2d(1, 4, 3, padding=1), block(), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.3), block()]
    return nn.Sequential(*layers, nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(64, 5))


def transformer():
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.2, batch_first=True)
    parts = [nn.Embedding(LETTERS, 16), nn.TransformerEncoder(layer, 2, nn.LayerNorm(16)), nn.Linear(16, LETTERS)]
    return nn.Sequential(*parts, nn.Permute((0, 2, 1)))


def perceptron():
    layers = [nn.Linear(64, 32), nn.BatchNorm1d(32), nn.GELU(), nn.Dropout(0.5), nn.Linear(32, 32), nn.Tanh()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(32, 5))


def images():
    return torch.randn(24, 1, 8, 8), torch.randint(5, (24,))


def letters():
    return torch.randint(LETTERS, (24, 6)), torch.randint(LETTERS, (24, 6))


CASES = [(convolutions, images), (transformer, letters), (perceptron, images)]


def trained(build, draw, **options):
    torch.manual_seed(0)
    net, data = build(), TensorDataSet(*draw())
    given = {"epochs": 2, "batch_size": 8, "quiet": True, **options}
    return net.state_dict(), fit(net, nn.CrossEntropyLoss(), AdamW(net.param(), lr=0.01), data, **given)


@pytest.mark.parametrize(("build", "draw"), CASES, ids=lambda case: case.__name__)
def test_within_a_budget_training_is_the_same_to_the_bit(build, draw):
    torch.manual_seed(0)
    measured = measure(build().train(), draw()[0][:8])
    least, most = least_bytes(measured), peak_of(measured, ())
    assert least < most
    plain, _ = trained(build, draw)
    for memory in (least, (least + most) // 2, most):
        state, run = trained(build, draw, memory=memory)
        assert run.setup.step.plan.peak <= memory
        assert bool(run.setup.step.plan.runs) == (memory < most)
        for name, value in plain.items():
            assert torch.equal(state[name], value), name
    early, _ = trained(build, draw, memory=least, optimizer_in_backward=True)
    for name, value in plain.items():
        assert torch.equal(early[name], value), name
