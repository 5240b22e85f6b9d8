"""The engine that takes each step eagerly."""

import pytest
import torch
from toy_parts import SGD, Points, SquaredError, encoded, network

from mytorch.train import Batches, Setup
from mytorch.train.engine import Eager


def setup():
    net = network()
    return Setup(net, SquaredError(), SGD(net.param(), 0.1), Batches(encoded(Points(50)), 20, shuffle=True))


def test_before_each_step_its_batch_is_shown():
    watched, alone = setup(), setup()
    seen = []

    def before(given, inputs, targets):
        assert given is watched
        seen.append((inputs.clone(), targets.clone(), watched.net.param()[0].value.clone()))

    with torch.inference_mode():
        weights = [watched.net.param()[0].value.clone() for _ in Eager(before).steps(watched)]
        batches = list(alone.batches)
    assert len(seen) == len(batches) == 3
    for (inputs, targets, weight), batch, after in zip(seen, batches, [seen[0][2], *weights], strict=False):
        assert torch.equal(inputs, batch[0])
        assert torch.equal(targets, batch[1])
        assert torch.equal(weight, after)  # the step was not taken yet


def test_what_it_raises_ends_the_steps():
    def before(*_batch):
        raise LookupError("enough")

    watched = setup()
    start = watched.net.param()[0].value.clone()
    with torch.inference_mode(), pytest.raises(LookupError, match="enough"):
        list(Eager(before).steps(watched))
    assert torch.equal(watched.net.param()[0].value, start)
