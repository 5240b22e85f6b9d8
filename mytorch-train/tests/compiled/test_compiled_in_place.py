"""A compiled step changes the model's own tensors, whatever they look like, and no others."""

import pytest
import torch
from compiled_runs import require_equal, require_equal_state, train, was_compiled
from toy_parts import SGD, Chain, Dense, SquaredError

from mytorch.core import Buffer, Module, Parameter
from mytorch.plugins import Callback
from mytorch.train import fit
from mytorch.train.compiled.carry import Carry

pytestmark = [
    pytest.mark.usefixtures("interpreted"),
    pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning"),
]


class Odd(Module):
    """y = x @ w + b, where w is a part of a larger tensor and b is one number, spread out."""

    def __init__(self):
        self.weight = Parameter(torch.arange(24.0, dtype=torch.float64).reshape(4, 6).sin()[:, 1:5].t())
        self.offset = Buffer(torch.ones(1, dtype=torch.float64).expand(4))

    def forward(self, x):
        return x @ self.weight.value + self.offset.value, x

    def backward(self, d_y, x):
        self.weight.accumulate(x.t() @ d_y)
        return d_y @ self.weight.value.t()


def test_tensors_of_any_strides_are_changed_where_they_lie():
    whole, eager = torch.arange(24.0, dtype=torch.float64).reshape(4, 6).sin(), train("eager", middle=Odd())
    odd = Odd()
    odd.weight.value = whole[:, 1:5].t()
    run = train("compiled", middle=odd)
    require_equal(run, eager)
    assert was_compiled(run)
    assert odd.weight.value.data_ptr() == whole[0, 1:].data_ptr()
    assert torch.equal(whole[:, 5], torch.arange(24.0, dtype=torch.float64).reshape(4, 6).sin()[:, 5])


class Swap(Module):
    """y = x + a, and a and b change places at each step."""

    def __init__(self):
        self.a, self.b = (Buffer(torch.full((4,), size, dtype=torch.float64)) for size in (0.25, -0.5))

    def forward(self, x):
        y = x + self.a.value
        if self.training:
            self.a.value, self.b.value = self.b.value, self.a.value
        return y, None

    def backward(self, d_y, saved):
        return d_y


def test_buffers_that_change_places_do_so_in_a_compiled_step():
    run, eager = (train(engine, middle=Swap(), epochs=5) for engine in ("compiled", "eager"))
    require_equal(run, eager)
    assert was_compiled(run)


class Replaces(Callback):
    """Puts another tensor in the place of a weight between the two calls of an epoch, ten steps each."""

    may_lag = True

    def __init__(self, change):
        self.change = change

    def batch_ended(self, run, epoch, batch):
        if (epoch, batch) == (3, 10):
            weight = run.net.layers[0].weight
            weight.value = self.change(weight.value)


@pytest.mark.parametrize(
    ("change", "programs"),
    [
        (lambda value: value * 1.5, 1),
        (lambda value: (value * 1.5).t().contiguous().t(), 2),
        (lambda value: value.as_strided_((4, 3), (1, 4)), 2),
    ],
    ids=["by its like", "in another layout", "by itself in another layout"],
)
def test_a_weight_that_is_replaced_between_two_calls_is_trained_on(change, programs, interpreted):
    def run(engine):
        torch.manual_seed(5)
        net = Chain(Dense(3, 4), Dense(4, 2)).to(torch.float64)
        rows = torch.arange(120.0, dtype=torch.float64).view(40, 3).sin()
        data = [(row, row[:2]) for row in rows]
        options = {"epochs": 5, "batch_size": 2, "shuffle": False, "callbacks": [Replaces(change)], "quiet": True}
        return fit(net, SquaredError(), SGD(net.param(), lr=0.1, momentum=0.5), data, engine=engine, **options)

    compiled, eager = run("compiled"), run("eager")
    assert was_compiled(compiled)
    assert len(interpreted) == programs
    require_equal_state(compiled, eager)


def test_a_frozen_weight_is_not_written():
    """An unchanged tensor in the program would be copied at each call, though it may be most of the model."""
    from mytorch.train.compiled.trace import Recipe, changing_settings, trace

    net = Chain(Dense(3, 4), Dense(4, 2)).eval()
    net.layers[0].weight.trainable = False
    optimizer = SGD(net.param(), lr=0.1)
    carry = Carry(net, SquaredError(), optimizer)
    batch = torch.ones(5, 3), torch.ones(5, 2)
    structure = torch.utils._pytree.tree_structure(batch)
    recipe = Recipe(net, SquaredError(), optimizer, carry, changing_settings(optimizer, None), structure)
    graph = trace(recipe, 1, batch).graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    names = {node: getattr(node.target, "__name__", "").split(".")[0] for node in graph.nodes}
    written = [node.args[0] for node, name in names.items() if name.endswith("_")]
    frozen = next(place for place, slot in enumerate(carry.slots) if slot.held is net.layers[0].weight)
    assert inputs[frozen] not in written
    assert inputs[frozen + 1] in written
