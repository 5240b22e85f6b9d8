"""What a module finds among its attributes, and what it refuses to overlook."""

from collections import deque
from dataclasses import dataclass
from functools import partial
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
        (deque([Leaf()]), "deque"),
        (partial(Holder, Leaf()), "partial"),
        (partial(Holder, held=[Leaf()]), "partial"),
        (partial(Leaf()), "partial"),
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
    "held",
    [[], {}, (), [1, "a"], {"a": [1]}, torch.zeros(2), Record(1), Record, "text", partial(Holder, 1), deque([1])],
    ids=str,
)
def test_anything_else_is_left_alone(held: object) -> None:
    assert Holder(held).param() == []


def test_buffers_are_found_and_are_no_parameters() -> None:
    leaf = Leaf()
    leaf.mean = Buffer(torch.zeros(2))
    net = Holder([leaf, leaf])
    assert [name for name, _ in net.named_buffer()] == ["held.0.mean"]
    assert names(net) == ["held.0.weight"]


TORCH_PARTS = {
    "torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
    "torch.nn.modules.container.ModuleList": torch.nn.ModuleList(),
    "torch.nn.Parameter": torch.nn.Parameter(torch.zeros(2)),
    "torch.nn.Buffer": torch.nn.Buffer(torch.zeros(2)),
    "torch.nn.UninitializedParameter": torch.nn.UninitializedParameter(),
    "tensor that requires grad": torch.zeros(2, requires_grad=True),
}


@pytest.mark.parametrize(("kind", "part"), TORCH_PARTS.items(), ids=TORCH_PARTS)
@pytest.mark.parametrize("held", [lambda part: part, lambda part: [part], lambda part: {"a": (1, part)}])
def test_a_part_of_torch_raises_by_name(kind: str, part: object, held: Any) -> None:
    text = f"Holder: attribute 'held' must be .*, got a?n? ?{kind}, w.*; (use the layer|write Parameter)"
    for use in (Holder(held(part)).param, Holder([Holder(held(part))]).state_dict):
        with pytest.raises(ModuleTreeError, match=text):
            use()


def test_a_subclass_of_torchs_module_is_named_by_its_own_class() -> None:
    class Own(torch.nn.Module):
        pass

    with pytest.raises(ModuleTreeError, match=r"got .*test_tree\..*Own, which has no backward of its own"):
        Holder(Own()).param()


def test_torchs_names_of_what_a_module_holds() -> None:
    leaf = Leaf()
    leaf.mean = Buffer(torch.zeros(2))
    net = Holder([leaf, leaf, Leaf()])
    net.own = Parameter(torch.zeros(1))
    assert [name for name, _ in net.named_parameters()] == names(net) == ["own", "held.0.weight", "held.2.weight"]
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.own"]
    assert list(net.parameters()) == net.param()
    assert list(net.parameters(recurse=False)) == [net.own]
    assert [name for name, _ in net.named_buffers("net")] == ["net.held.0.mean"]
    assert list(net.buffers()) == [leaf.mean]
    assert list(net.buffers(recurse=False)) == []
    assert list(net.children()) == [leaf, net.held[2]]


def test_apply_comes_to_each_module_once_children_first() -> None:
    leaf, seen = Leaf(), []
    net = Holder([leaf, Holder([leaf])])
    assert net.apply(seen.append) is net
    assert len(seen) == 3
    assert seen[-1] is net
