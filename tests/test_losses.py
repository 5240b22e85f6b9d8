"""Losses of mytorch-nn, as mytorch-train averages them and mytorch-experiments reads what was trained with them."""

import math

import pytest
import torch

from mytorch.data import TensorDataSet
from mytorch.experiments.predict.head import head_for
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.nn import CrossEntropyLoss, Linear
from mytorch.optim import SGD
from mytorch.train import evaluate, fit

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


def with_ignored(batch):
    """Rows of which the given batch, of five, is ignored altogether, and others in part."""
    net, data = few_classes()
    inputs, targets = torch.cat([data.inputs] * 3), torch.cat([data.targets] * 3)
    targets[5 * batch : 5 * batch + 5] = -1
    targets[1::7] = -1
    return net, TensorDataSet(inputs, targets)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
@pytest.mark.parametrize("batch", [0, 3, 5])
def test_a_batch_of_ignored_targets_is_no_failure(batch, engine):
    net, data = with_ignored(batch)
    twin = torch.nn.Linear(3, 4)
    twin.load_state_dict(net.state_dict())
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    total = weight = 0.0
    for x, t in zip(data.inputs.split(5), data.targets.split(5), strict=True):
        value, counted = torch.nn.functional.cross_entropy(twin(x), t, ignore_index=-1), int((t != -1).sum())
        if counted:
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total, weight = total + float(value.detach()) * counted, weight + counted
    loss = CrossEntropyLoss(ignore_index=-1)
    training = fit(
        net,
        loss,
        SGD(net.param(), lr=0.1),
        data,
        epochs=1,
        batch_size=5,
        shuffle=False,
        metrics=[],
        engine=engine,
        quiet=True,
    )
    assert training.history[0]["train_loss"] == pytest.approx(total / weight, rel=1e-5)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name])


def test_a_training_in_which_every_target_is_ignored_has_no_mean_and_changes_nothing():
    net, data = few_classes()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    data.targets.fill_(-1)
    training = fit(
        net, CrossEntropyLoss(ignore_index=-1), SGD(net.param(), lr=0.1), data, epochs=1, batch_size=5, quiet=True
    )
    assert math.isnan(training.history[0]["train_loss"])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("ignored", [0, 1])
def test_an_experiment_whose_first_batch_is_ignored_is_in_order(ignored):
    loss = {"type": "CrossEntropyLoss", "ignore_index": ignored}  # one of the two is the class of the first row
    said = check_experiment("disk", {"batch_size": 1, "loss": loss, "data.targets": "as-is"})
    assert said.startswith("disk: ")


@pytest.mark.parametrize("options", [{}, {"weight": torch.tensor([0.1, 5.0, 1.0, 3.0])}, {"reduction": "sum"}])
def test_the_training_loss_is_the_mean_over_the_set_and_a_batch_of_ignored_targets_is_no_failure(options):
    net, data = few_classes()
    data.targets[3:6] = -100
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    expected = evaluate(net, CrossEntropyLoss(**options), data)["loss"]
    loss, optimizer = CrossEntropyLoss(**options), SGD(net.param(), lr=1e-30)
    training = fit(net, loss, optimizer, data, epochs=2, batch_size=3, shuffle=False, quiet=True)
    assert [record["train_loss"] for record in training.history] == pytest.approx([expected] * 2, rel=1e-6)
    torch.testing.assert_close(net.state_dict(), weights, rtol=0, atol=1e-20)
