"""What a module finds among its attributes, and what it refuses to overlook."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from mytorch.core import Buffer, Module, ModuleTreeError, Parameter


class Leaf(Module):
    def __init__(self) -> None:
        self.weight = Parameter(torch.randn(2))


class Holder(Module):
    def __init__(self, held: Any = None) -> None:
        self.held = held


def names(net: Module) -> list[str]:
    return [name for name, _ in net.named_param()]


def test_own_parameters_come_first_then_the_childrens() -> None:
    class Net(Module):
        def __init__(self) -> None:
            self.child = Leaf()
            self.own = Parameter(torch.zeros(1))

    assert names(Net()) == ["own", "child.weight"]


def test_lists_and_dicts_of_modules_are_searched() -> None:
    assert names(Holder([Leaf(), Leaf()])) == ["held.0.weight", "held.1.weight"]
    assert names(Holder({"a": Leaf(), "b": Leaf()})) == ["held.a.weight", "held.b.weight"]


def test_a_shared_module_and_a_shared_parameter_are_listed_once() -> None:
    leaf, other = Leaf(), Leaf()
    assert len(Holder([leaf, leaf]).param()) == 1
    other.weight = leaf.weight
    net = Holder([leaf, other])
    assert names(net) == ["held.0.weight"]
    assert [name for name, _ in net.named_modules()] == ["", "held.0", "held.1"]


def test_cycles_are_visited_once() -> None:
    first, second = Holder(), Holder()
    first.held, second.held = second, first
    first.weight = Parameter(torch.zeros(1))
    assert names(first) == ["weight"]
    assert list(first.modules()) == [first, second]
    assert list(first.state_dict()) == ["weight"]


@dataclass
class Record:
    layer: Any
    size: int = 1


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        ((Leaf(), Leaf()), "tuple"),
        ([[Leaf()]], "list"),
        ([Leaf(), 1], "list"),
        ({"a": [Leaf()]}, "dict"),
        ({"a": Leaf(), "b": 2}, "dict"),
        (Record(Leaf()), "Record"),
        ([Parameter(torch.zeros(1))], "list"),
        ({"a": Parameter(torch.zeros(1))}, "dict"),
        ([Buffer(torch.zeros(1))], "list"),
        ({1: (2, Parameter(torch.zeros(1)))}, "dict"),
        ({Parameter(torch.zeros(1))}, "set"),
    ],
    ids=str,
)
def test_what_would_be_overlooked_raises(held: object, kind: str) -> None:
    message = f"Holder: attribute 'held' must be .* got a {kind} that holds one deeper inside.* use ModuleList"
    with pytest.raises(ModuleTreeError, match=message):
        Holder(held).param()
    with pytest.raises(ModuleTreeError, match="neither trained nor saved"):
        Holder(held).state_dict()


@pytest.mark.parametrize(
    "held", [[], {}, (), [1, "a"], {"a": [1]}, torch.zeros(2), Record(1), Record, "text"], ids=str
)
def test_anything_else_is_left_alone(held: object) -> None:
    assert Holder(held).param() == []


def test_buffers_are_found_and_are_no_parameters() -> None:
    leaf = Leaf()
    leaf.mean = Buffer(torch.zeros(2))
    net = Holder([leaf, leaf])
    assert [name for name, _ in net.named_buffer()] == ["held.0.mean"]
    assert names(net) == ["held.0.weight"]
