"""The path to the failing layer, added to an error."""

import pytest
import torch
from torch import Tensor

from mytorch.core import Module, ShapeError, add_path, require_last_axis


class Picky(Module):
    def __init__(self, size: int) -> None:
        self.size = size

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        require_last_axis(self, x, self.size)
        return x, None

    def backward(self, d_y: Tensor, saved: None) -> Tensor:
        raise ValueError("no way back")


class Chain(Module):
    def __init__(self, layers: list[Module]) -> None:
        self.layers = layers

    def forward(self, x: Tensor) -> tuple[Tensor, list[None]]:
        for layer in self.layers:
            x, _ = layer.forward(x)
        return x, []

    def backward(self, d_y: Tensor, saved: list[None]) -> Tensor:
        for layer in reversed(self.layers):
            d_y = layer.backward(d_y, None)
        return d_y


def notes_of(net: Module, call: str = "forward") -> list[str]:
    x = torch.zeros(2, 3)
    try:
        net.forward(x) if call == "forward" else net.backward(x, [])
    except ValueError as error:
        add_path(error, net)
        add_path(error, net)  # whoever is further out may add it again
        return list(getattr(error, "__notes__", []))
    raise AssertionError("nothing was raised")


def test_names_the_layer_that_raised_once() -> None:
    assert notes_of(Chain([Picky(3), Chain([Picky(3), Picky(7)])])) == [
        "in layer 'layers.1.layers.1' (Picky) of Chain"
    ]


def test_names_the_layer_whose_backward_raised() -> None:
    assert notes_of(Chain([Picky(3), Picky(3)]), "backward") == ["in layer 'layers.1' (Picky) of Chain"]


def test_names_every_place_of_a_shared_layer() -> None:
    shared = Picky(7)
    assert notes_of(Chain([shared, shared])) == ["in layer 'layers.0' or 'layers.1' (Picky) of Chain"]


def test_an_error_of_the_outermost_module_needs_no_path() -> None:
    assert notes_of(Picky(7)) == []


def test_the_message_itself_stays() -> None:
    with pytest.raises(ShapeError, match="Picky: last axis of x must be 7, got 3"):
        Chain([Picky(7)]).forward(torch.zeros(2, 3))
