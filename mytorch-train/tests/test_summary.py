"""A model in a table."""

import pytest
import torch
from rich.console import Console
from toy_parts import Both, Chain, Dense, Noise, Rectify, network

from mytorch.core import ArgumentError, Module, ShapeError
from mytorch.train import summary


def rows(found):
    return [line.split() for line in str(found).splitlines()]


def test_layers_shapes_and_parameters():
    found = summary(network(), torch.zeros(7, 2))
    assert [(layer.path, layer.layer, layer.output, layer.parameters) for layer in found.layers] == [
        ("", "Chain", "(7, 2)", 0),
        ("0", "Dense", "(7, 4)", 12),
        ("1", "Rectify", "(7, 4)", 0),
        ("2", "Dense", "(7, 2)", 10),
    ]
    assert (found.model, found.parameters, found.trained) == ("Chain", 22, 22)
    assert str(found).splitlines() == [
        "layer   class    output  parameters",
        "0       Dense    (7, 4)          12",
        "1       Rectify  (7, 4)           -",
        "2       Dense    (7, 2)          10",
        "in all                           22",
    ]


def test_a_layer_inside_a_layer_stands_below_it_by_its_own_name():
    found = summary(Chain(Chain(Dense(2, 3), Rectify()), Dense(3, 2)), torch.zeros(5, 2))
    assert [line.partition("(")[0].rstrip() for line in str(found).splitlines()[1:5]] == [
        "0       Chain",
        "  0     Dense",
        "  1     Rectify",
        "1       Dense",
    ]


def test_a_layer_that_is_used_twice_counts_once():
    shared = Dense(2, 2)
    found = summary(Chain(shared, Rectify(), shared), torch.zeros(3, 2))
    assert rows(found)[1] == ["0", "Dense,", "used", "2", "times", "(3,", "2)", "6"]
    assert found.parameters == 6 == sum(layer.parameters for layer in found.layers)


def test_parameters_that_are_not_trained():
    net = Chain(Dense(2, 3), Dense(3, 2))
    net.layers[0].requires_grad_(False)
    found = summary(net, torch.zeros(3, 2))
    assert (found.parameters, found.trained) == (17, 8)
    assert rows(found)[-2:] == [["in", "all", "17"], ["of", "which", "trained", "8"]]


class Reader(Module):
    """Reads the weights of a layer that it never calls, and gives two outputs by name."""

    def __init__(self):
        self.inner = Dense(2, 3)

    def forward(self, x):
        y = x @ self.inner.weight.value.T
        return {"y": y, "both": (y, None, 3)}, None


def test_parameters_of_a_layer_that_is_not_called_are_of_the_one_around_it():
    found = summary(Chain(Reader()), torch.zeros(4, 2))
    assert rows(found)[1] == ["0", "Reader", "y:", "(4,", "3),", "both:", "(4,", "3),", "int", "9"]
    assert found.parameters == 9
    assert rows(summary(Reader(), torch.zeros(4, 2)))[1][:2] == ["model", "Reader"]


def test_several_inputs():
    found = summary(Both(Dense(2, 3), Dense(2, 3)), (torch.zeros(4, 2), torch.zeros(4, 2)))
    assert [layer.path for layer in found.layers] == ["", "left", "right"]


def test_of_many_layers_the_deep_ones_count_with_those_around_them():
    net = Chain(*(Chain(Dense(2, 2), Chain(Rectify(), Dense(2, 2))) for _ in range(12)))
    lines = rows(summary(net, torch.zeros(1, 2)))
    assert lines[1:4] == [
        ["0", "Chain", "(1,", "2)", "-"],
        ["0", "Dense", "(1,", "2)", "6"],
        ["1", "Chain", "(1,", "2)", "6"],
    ]
    assert len(lines) == 2 + 36
    lines = rows(summary(Chain(*(Dense(2, 2) for _ in range(100))), torch.zeros(1, 2)))
    assert len(lines) == 2 + 41
    assert lines[20:23] == [
        ["19", "Dense", "(1,", "2)", "6"],
        ["...", "60", "more", "360"],
        ["80", "Dense", "(1,", "2)", "6"],
    ]
    assert lines[-1] == ["in", "all", "600"]


def test_nothing_is_changed():
    net = Chain(Noise(), Dense(2, 2)).train()
    state = torch.get_rng_state()
    summary(net, torch.zeros(3, 2))
    assert int(net.layers[0].seen.value) == 0
    assert all(module.training and "forward" not in vars(module) for module in net.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_rich_shows_it_in_the_width_that_there_is():
    console = Console(width=30, file=None)
    with console.capture() as capture:
        console.print(summary(network(), torch.zeros(7, 2)))
    assert all(len(line) <= 30 for line in capture.get().splitlines())


def test_what_does_not_fit():
    with pytest.raises(ShapeError, match="last axis of x must be 2, got 3") as info:
        summary(network(), torch.zeros(4, 3))
    assert info.value.__notes__ == ["in layer '0' (Dense) of Chain"]
    with pytest.raises(ArgumentError, match=r"summary: net must be a Module of mytorch, got torch.nn.modules"):
        summary(torch.nn.Linear(2, 2), torch.zeros(4, 2))
