"""Steps that need less memory, with the layers of mytorch.nn."""

import pytest
import torch

from mytorch import nn, optim
from mytorch.data import TensorDataSet
from mytorch.optim import SGD, AdamW
from mytorch.train import fit
from mytorch.train.memory import least_bytes, mapped, measure
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
    layers = [nn.Linear(64, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Dropout(0.5), nn.Linear(64, 64), nn.Tanh()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(64, 5))


def recurrent():
    return nn.Sequential(nn.LSTM(8, 32, batch_first=True), nn.Take(0), nn.Linear(32, 9), nn.Permute((0, 2, 1)))


def computing_again():
    blocks = nn.ReversibleSequence(nn.Reversible(nn.Linear(32, 32), nn.Tanh()))
    inner = nn.Checkpoint(nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Dropout(0.2)))
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), inner, blocks, nn.ReLU(), nn.Linear(64, 5))


def steps():
    return torch.randn(24, 20, 8), torch.randint(9, (24, 20))


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


MORE = [*CASES, (recurrent, steps), (computing_again, images)]


@pytest.mark.parametrize(("build", "draw"), MORE, ids=lambda case: case.__name__)
def test_on_disk_training_is_the_same_to_the_bit(build, draw):
    plain, _ = trained(build, draw, batch_size=24)
    state, _ = trained(build, draw, batch_size=24, saved="disk")
    for name, value in plain.items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize(("build", "draw"), MORE, ids=lambda case: case.__name__)
def test_with_weights_on_disk_training_is_the_same_to_the_bit(build, draw, monkeypatch):
    plain, _ = trained(build, draw)
    monkeypatch.setattr(mapped, "LEAST", 1)
    _, run = trained(build, draw, weights="disk", saved="disk")
    for name, value in run.net.state_dict().items():
        assert torch.equal(plain[name], value), name
    for held in run.net.param():
        assert mapped.is_on_disk(held.value)
        assert all(map(mapped.is_on_disk, run.optimizer.state[held].values()))


@pytest.mark.parametrize(
    "name",
    [
        *("SGD", "Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "LAMB", "Lion", "NAdam", "RAdam", "RMSprop"),
        *("Rprop", "Shampoo", "SparseAdam"),
    ],
)
def test_with_weights_on_disk_every_optimizer_takes_the_same_steps(name, monkeypatch):
    def after(**options):
        torch.manual_seed(0)
        net, data = perceptron(), TensorDataSet(*images())
        optimizer = getattr(optim, name)(net.param())
        run = fit(net, nn.CrossEntropyLoss(), optimizer, data, epochs=3, batch_size=8, quiet=True, **options)
        state = [entry for held in net.param() for entry in optimizer.state[held].values()]
        return [*net.state_dict().values(), *state], [line["train_loss"] for line in run.history]

    tensors, losses = after()
    monkeypatch.setattr(mapped, "LEAST", 1)
    others, again = after(weights="disk")
    assert again == losses
    for one, other in zip(tensors, others, strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))
        assert not isinstance(other, torch.Tensor) or mapped.is_on_disk(other)


@pytest.mark.parametrize(("saved", "bound"), [("bfloat16", 0.01), ("int8", 0.05)])
@pytest.mark.parametrize(("build", "draw"), MORE, ids=lambda case: case.__name__)
def test_fewer_bits_change_gradients_a_little(build, draw, saved, bound):
    def update(**options):
        torch.manual_seed(0)
        net = build()
        before = [parameter.value.clone() for parameter in net.param()]
        inputs, targets = draw()
        data, optimizer = TensorDataSet(inputs, targets), SGD(net.param(), lr=1.0)
        fit(net, nn.CrossEntropyLoss(), optimizer, data, epochs=1, batch_size=24, shuffle=False, quiet=True, **options)
        changes = [after.value - start for after, start in zip(net.param(), before, strict=True)]
        return torch.cat([change.flatten() for change in changes])

    exact = update()
    assert 0 < float((update(saved=saved) - exact).norm() / exact.norm()) < bound
