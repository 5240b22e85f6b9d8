"""A whole training step of the project's own parts as one graph."""

import copy

import pytest
import torch

from mytorch.nn import (
    GRU,
    LSTM,
    RNN,
    BatchNorm1d,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Linear,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Take,
    Tanh,
)
from mytorch.optim import SGD, OneCycleLR
from mytorch.train import step
from mytorch.train.compiled.carry import Carry
from mytorch.train.compiled.compile_order import operator_modules
from mytorch.train.compiled.forward_program import trace_forward
from mytorch.train.compiled.trace import Recipe, changing_settings, trace

LOSSES = {
    "squares": (MSELoss, torch.randn(8, 3)),
    "classes": (CrossEntropyLoss, torch.randint(3, (8,))),
    "probabilities": (CrossEntropyLoss, torch.rand(8, 3).softmax(-1)),
    "binary": (BCEWithLogitsLoss, torch.rand(8, 3).round()),
}


def network(drop):
    inner = Sequential(Linear(5, 5), BatchNorm1d(5), Tanh(), Dropout(drop))
    return Sequential(Linear(4, 5), ReLU(), Residual(inner), Sigmoid(), Linear(5, 3))


def losses(net, loss, target, compiled, steps=6):
    """The losses of a few steps whose learning rate is a tensor that a schedule changes in place."""
    torch.manual_seed(1)
    optimizer = SGD(net.param(), lr=torch.tensor(0.1), momentum=0.9, nesterov=True)
    schedule = OneCycleLR(optimizer, max_lr=0.2, total_steps=steps + 1, cycle_momentum=False)

    def whole(inputs, targets):
        return step(net, loss, optimizer, inputs, targets)[0]

    run = torch.compile(whole, fullgraph=True, backend="eager") if compiled else whole
    inputs, found = torch.randn(8, 4), []
    with torch.inference_mode():
        for _ in range(steps):
            found.append(run(inputs, target).item())
            schedule.step()
    return found


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("name", LOSSES)
def test_one_graph_trains_as_eager_does(name):
    make, target = LOSSES[name]
    net = network(drop=0.0)
    twin = copy.deepcopy(net)
    compiled = losses(net, make(), target, compiled=True)
    assert compiled == pytest.approx(losses(twin, make(), target, compiled=False), rel=1e-5)
    assert compiled[-1] < compiled[0]


def test_the_forward_pass_is_one_graph_for_any_number_of_rows():
    net = network(drop=0.5).eval()
    graph, structure = trace_forward(net, [torch.zeros(61, 4)])
    assert structure is None
    for rows in (0, 1, 2, 61, 100):
        x = torch.randn(rows, 4)
        (found,) = graph(x)
        torch.testing.assert_close(found, net(x))


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_recurrent_layers_are_one_graph_for_any_number_of_rows(kind):
    layer = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    net = Sequential(layer, Take(0), Flatten(), Linear(40, 2))
    graph, _ = trace_forward(net, [torch.zeros(61, 5, 3)])
    for rows in (0, 1, 2, 61, 100):
        x = torch.randn(rows, 5, 3)
        torch.testing.assert_close(graph(x)[0], net(x))


def test_an_lstm_is_two_nodes_of_a_step_unless_it_is_exported(monkeypatch):
    net, loss = Sequential(LSTM(3, 4, batch_first=True), Take(0), Flatten(), Linear(40, 2)), MSELoss()
    optimizer = SGD(net.param(), lr=0.1)
    batch = torch.randn(8, 10, 3), torch.randn(8, 2)
    carry, structure = Carry(net, loss, optimizer), torch.utils._pytree.tree_structure(batch)
    recipe = Recipe(net, loss, optimizer, carry, changing_settings(optimizer, None), structure)
    graph = trace(recipe, 1, batch)
    ours = [node for node in graph.graph.nodes if "mytorch_nn" in str(node.target)]
    assert [str(node.target).split(".")[1] for node in ours] == ["lstm", "lstm_backward"]
    assert len(graph.graph.nodes) < 100
    assert operator_modules(graph) == ["mytorch.nn.recurrent._lstm_operators"]
    found, settings = carry.copies(), torch.full((1, 1), 0.1, dtype=torch.float64)
    losses, _ = graph(*found, settings, *(leaf[None] for leaf in batch))
    value, _ = step(net, loss, optimizer, *batch)
    torch.testing.assert_close(losses[0], value)
    torch.testing.assert_close(found, carry.now())
    monkeypatch.setattr(torch.compiler, "_is_exporting_flag", True, raising=False)  # as export_step does
    assert operator_modules(trace(recipe, 1, batch)) == []


def test_dropout_draws_within_the_graph():
    found = losses(network(drop=0.5), MSELoss(), torch.randn(8, 3), compiled=True)
    assert len(set(found)) == len(found)
