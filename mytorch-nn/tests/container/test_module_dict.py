import pytest
import torch

from mytorch.core import ArgumentError, Module, describe, rebuild
from mytorch.nn import Linear, ModuleDict, ReLU
from mytorch.testing import check_layer


class Heads(Module):
    """Two outputs from one input."""

    def __init__(self) -> None:
        self.heads = ModuleDict({"left": Linear(3, 2), "right": Linear(3, 4)})

    def forward(self, x):
        pairs = [head.forward(x) for head in self.heads.values()]
        return tuple(y for y, _ in pairs), [saved for _, saved in pairs]

    def backward(self, d_output, saved):
        answers = zip(self.heads.values(), d_output, saved, strict=True)
        return sum(head.backward(d, kept) for head, d, kept in answers if d is not None)


def test_its_children_are_found_and_trained():
    check_layer(Heads, torch.randn(5, 3))
    assert list(Heads().state_dict())[::2] == ["heads.left.weight", "heads.right.weight"]


def test_dict_operations():
    a, b, c = ReLU(), ReLU(), Linear(1, 1)
    held = ModuleDict([("a", a)])
    held["b"] = b
    held.update({"c": c})
    assert list(held) == list(held.keys()) == ["a", "b", "c"]
    assert list(held.items()) == list(held.named_children())
    assert "b" in held
    assert held.pop("b") is b
    del held["a"]
    assert (len(held), held["c"]) == (1, c)
    held.clear()
    assert len(held) == 0


def test_it_is_compared_as_a_module():
    assert ModuleDict() != ModuleDict()
    assert len({ModuleDict(), ModuleDict()}) == 2


def test_described_are_the_present_children():
    held = ModuleDict({"a": Linear(2, 3)})
    held["b"] = ReLU()
    assert repr(rebuild(describe(held)[0])) == repr(held)


@pytest.mark.parametrize("name", ["", "a.b", 3])
def test_a_bad_name(name):
    with pytest.raises(ArgumentError, match="ModuleDict: name must be a string without dots and not empty, got"):
        ModuleDict({name: ReLU()})


def test_a_child_that_is_no_module():
    with pytest.raises(ArgumentError, match="ModuleDict: child must be a Module, got the class ReLU"):
        ModuleDict({"a": ReLU})
