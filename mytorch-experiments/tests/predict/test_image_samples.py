"""Which images stand for a judgement, and which weights are filters."""

import pytest
import torch
from toy_parts import Dense, Sequential

from mytorch.core import DataSet
from mytorch.data import Standardize, Standardized, TensorDataSet
from mytorch.experiments.predict.head import Head
from mytorch.experiments.predict.image_samples import MOST, first_filters, image_samples
from mytorch.experiments.predict.judgement import Judge
from mytorch.nn import Conv1d, Conv2d, Flatten, Linear
from mytorch.nn import Sequential as Chain

CLASSES = ("a", "b", "c")


def judged(outputs, targets, *, batch=13):
    judge = Judge(Head("softmax", CLASSES), "class")
    for at in range(0, len(outputs), batch):
        judge.update(outputs[at : at + batch], targets[at : at + batch])
    return judge


@pytest.mark.parametrize("rows", [5, 100])
def test_wrong_ones_come_first_and_images_are_those_of_their_rows(rows):
    outputs, targets = torch.randn(rows, 3), torch.randint(3, (rows,))
    x = torch.rand(rows, 1, 4, 5, dtype=torch.float64)
    x[:, 0, 0, 0] = torch.arange(rows)  # by which a row is known again
    data = TensorDataSet(x, targets)
    for seen in (data, Standardized(data, Standardize.fit(data))):
        found = image_samples(seen, judged(outputs, targets))
        chosen = found.images[:, 0, 0, 0].round().long()
        torch.testing.assert_close(found.images, x[chosen].double())
        assert found.predicted == tuple(CLASSES[index] for index in outputs.argmax(1)[chosen])
        assert found.true == tuple(CLASSES[index] for index in targets[chosen])
        wrong = [name != other for name, other in zip(found.predicted, found.true, strict=True)]
        right = int((outputs.argmax(1) == targets).sum())
        assert found.rows == (rows - right, right)
        assert found.shown == (min(MOST, rows - right), min(MOST, right)) == (sum(wrong), len(wrong) - sum(wrong))
        assert wrong == sorted(wrong, reverse=True)


def test_rows_that_cannot_be_read_are_left_out():
    outputs, targets = torch.randn(20, 3), torch.randint(3, (20,))
    outputs[4], targets[7] = float("nan"), -100
    x = torch.arange(20.0).reshape(-1, 1, 1, 1).expand(20, 3, 2, 2).contiguous()
    found = image_samples(TensorDataSet(x, targets), judged(outputs, targets))
    assert sum(found.rows) == 18
    assert not {4.0, 7.0} & set(found.images[:, 0, 0, 0].tolist())


class Words(DataSet):
    def __len__(self):
        return 6

    def batch_at(self, indices):
        return {"x": torch.zeros(len(indices), 1, 2, 2)}, indices % 3


@pytest.mark.parametrize("data", [torch.rand(6, 4), torch.rand(6, 2, 3, 3), Words()])
def test_what_is_no_image_has_none(data):
    targets = torch.arange(6) % 3
    rows = data if isinstance(data, DataSet) else TensorDataSet(data, targets)
    assert image_samples(rows, judged(torch.randn(6, 3), targets)) is None
    assert image_samples(rows, judged(torch.randn(5, 3), targets[:5])) is None
    assert image_samples(rows, Judge(Head("numbers"), "y")) is None


def test_filters_are_the_weights_of_the_first_layer_if_it_sees_images():
    net = Chain(Chain(Conv2d(3, 4, 5)), Conv2d(4, 2, 3))
    assert torch.equal(first_filters(net), net[0][0].weight.value.double())
    for other in (Conv2d(2, 4, 5), Conv2d(1, 4, 1), Conv1d(1, 4, 5), Chain(Flatten(), Linear(9, 3), Conv2d(1, 4, 5))):
        assert first_filters(other) is None
    assert first_filters(Sequential(Dense(2, 3))) is None
    assert first_filters(Flatten()) is None
