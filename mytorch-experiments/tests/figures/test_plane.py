"""The plane of two input columns, and what a net says about it."""

import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import Both, Chain, Dense, Line, Noise, Points, Rows, Table, network

from mytorch.core import Module
from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.experiments.figures.plane import GRID, POINTS, Plane, obstacle, sample


class Column(Module):
    """One logit: how far the first column is above a threshold."""

    def __init__(self, threshold):
        self.threshold = threshold

    def forward(self, x):
        return x[:, 0] - self.threshold, None


class Standardised(Table):
    """Points around (1000, -0.01) whose columns come standardised."""

    columns = ("income", "share")
    mean, std = (1000.0, -0.01), (200.0, 0.001)

    def __init__(self, rows=50):
        super().__init__(torch.randn(rows, 2), torch.arange(rows) % 2)
        self.preparation = {"standardize": {"mean": list(self.mean), "std": list(self.std)}, "other": 1}


def numbers(*shape):
    return Table(torch.randn(*shape), torch.arange(shape[0]) % 2)


@pytest.mark.parametrize(
    "data",
    [
        Points(9),
        Rows(Points(9)),
        EncodedTargets(Points(9), "one-hot", torch.float32),
        EncodedTargets(numbers(9, 2), "binary", torch.float64),
        numbers(9, 2),
    ],
)
def test_two_columns_and_classes(data):
    assert obstacle(network(), data) is None


@pytest.mark.parametrize(
    ("net", "data", "found"),
    [
        (Dense(3, 2), numbers(9, 3), r"inputs of (3,)"),
        (Dense(1, 1), Line(9), "inputs of (1,)"),
        (Dense(2, 2), numbers(9, 2, 2), "inputs of (2, 2)"),
        (Dense(2, 2), Table(torch.ones(9, 2, dtype=torch.long), torch.zeros(9).long()), "inputs of (2,)"),
        (Both(Dense(2, 2), Dense(2, 2)), Table((torch.randn(9, 2), torch.randn(9, 2)), torch.zeros(9)), "a tuple"),
        (Dense(2, 2), Table(torch.randn(9, 2), torch.randn(9)), "targets that are numbers"),
        (Dense(2, 2), Table(torch.randn(9, 2), torch.randn(9, 2)), "targets that are numbers"),
        (Dense(2, 2), DataLoader(Rows(Points(9))), "a DataLoader of 9"),
        (Dense(2, 2), numbers(0, 2), "a Table of 0"),
    ],
)
def test_what_has_no_boundary(net, data, found):
    assert obstacle(net, data) == found


def test_predictions_that_are_no_scores():
    class Odd(Module):
        def forward(self, x):
            return (x, x), None

    assert obstacle(Odd(), Points(5)) == "predictions that are no scores of classes"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_grid_is_in_the_units_of_the_columns(dtype):
    data = Standardised()
    data.inputs = data.inputs.to(getattr(torch, dtype))
    plane = Plane.of(data)
    assert plane.names == ("income", "share")
    wanted = data.inputs.double() * torch.tensor(data.std) + torch.tensor(data.mean)
    torch.testing.assert_close(plane.points.places, wanted)
    x, y = plane.axes()
    assert x[0] < wanted[:, 0].min() < wanted[:, 0].max() < x[-1]
    assert y[0] < wanted[:, 1].min() < wanted[:, 1].max() < y[-1]
    margins = plane.margins(Column(0.5))  # the net sees standardised columns: 0.5 is 1100
    assert margins.shape == (2, GRID, GRID)
    assert torch.equal(margins[1] > 0, (x > 1100).expand(GRID, GRID))
    assert torch.equal(margins[0], -margins[1])


def test_the_class_with_the_largest_score_has_a_positive_margin():
    net, plane = Dense(2, 4), Plane.of(Points(40))
    margins = plane.margins(net)
    y, x = torch.meshgrid(*reversed(plane.axes()), indexing="ij")
    scores = net(torch.stack((x, y), -1).reshape(-1, 2).float()).T.reshape(4, GRID, GRID)
    assert torch.equal(margins.argmax(0), scores.argmax(0))
    assert ((margins > 0).sum(0) == 1).all()
    first, second = scores.topk(2, dim=0).values
    torch.testing.assert_close(margins.amax(0), first - second)


def test_nothing_is_left_changed():
    net = Chain(Dense(2, 2), Noise())
    net.train()
    net.layers[0].eval()
    state = torch.get_rng_state()

    class Draws(Points):
        def batch_at(self, indices):
            torch.rand(1)
            return super().batch_at(indices)

    assert obstacle(net, Draws(10)) is None
    margins = Plane.of(Draws(10)).margins(net)
    assert torch.equal(margins, Plane.of(Draws(10)).margins(net))
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in net.modules()] == [True, False, True]
    assert int(net.layers[1].seen.value) == 0


def test_many_rows_are_sampled_evenly():
    inputs = torch.arange(20_000.0).reshape(-1, 2)
    points = sample(Table(inputs, (inputs[:, 0] > 10_000).long()))
    assert len(points.classes) == POINTS
    assert points.places[0, 0] == 0
    assert points.places[-1, 0] == 19_998
    assert int(points.classes.sum()) == POINTS // 2
    assert len(sample(numbers(1, 2)).classes) == 1


def test_a_constant_column_has_a_plane_too():
    inputs = torch.randn(9, 2)
    inputs[:, 1] = 3
    plane = Plane.of(Table(inputs, torch.arange(9) % 2))
    assert (float(plane.low[1]), float(plane.high[1])) == (2, 4)
