import pytest
import torch

from mytorch.core import ArgumentError, Module, describe, rebuild
from mytorch.nn import Linear, ModuleList, ReLU
from mytorch.testing import check_layer


class Sum(Module):
    """The sum of what several layers make of one input."""

    def __init__(self, count: int = 3) -> None:
        self.parts = ModuleList(Linear(3, 2) for _ in range(count))

    def forward(self, x):
        outputs, saved = zip(*(part.forward(x) for part in self.parts), strict=True)
        return sum(outputs), saved

    def backward(self, d_y, saved):
        return sum(part.backward(d_y, kept) for part, kept in zip(self.parts, saved, strict=True))


def test_its_children_are_found_and_trained():
    check_layer(Sum, torch.randn(5, 3))
    assert [name for name, _ in Sum(2).named_param()] == [
        "parts.0.weight",
        "parts.0.bias",
        "parts.1.weight",
        "parts.1.bias",
    ]


def test_list_operations_as_in_torch():
    a, b, c = Linear(1, 1), ReLU(), ReLU()
    for held in (ModuleList([a]), torch.nn.ModuleList([torch.nn.ReLU()])):
        first = held[0]
        x, y = (b, c) if isinstance(held, ModuleList) else (torch.nn.ReLU(), torch.nn.Tanh())
        held.append(x)
        held.extend([y])
        held.insert(0, y)
        assert list(held) == [y, first, x, y]
        assert isinstance(held[1:], type(held))
        assert list(held[1:]) == [first, x, y]
        held[1] = x
        del held[0]
        assert held.pop(-1) is y
        held += [first]
        assert list(held) == [x, x, first]
        assert len(held) == 3


def test_described_are_the_present_children():
    held = ModuleList([Linear(2, 3)])
    held.append(ReLU())
    assert repr(rebuild(describe(held)[0])) == repr(held)
    assert len(ModuleList()) == 0


def test_it_has_no_forward_and_takes_only_modules():
    with pytest.raises(NotImplementedError, match="ModuleList: forward must be defined"):
        ModuleList()(1)
    with pytest.raises(ArgumentError, match="ModuleList: child must be a Module, got int"):
        ModuleList([1])
