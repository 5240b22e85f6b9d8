"""Every module remembers how it was built."""

import copy
import inspect

import pytest
import torch

from mytorch.core import Module, Parameter


class Dense(Module):
    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, name: str | None = None) -> None:
        self.weight = Parameter(torch.randn(out_features, in_features))
        self.bias = Parameter(torch.zeros(out_features)) if bias else None


class Square(Dense):  # a base __init__ would record the call of super() below
    def __init__(self, size: int, **options: bool) -> None:
        super().__init__(size, size, **options)


class Pair(Module):
    def __init__(self, first: Module, second: Module, scale: float = 1.0) -> None:
        self.first, self.second, self.scale = first, second, scale


class Bare(Module):
    pass


class Stack(Module):
    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)


def test_arguments_are_bound_to_names_with_defaults() -> None:
    assert Dense(2, out_features=3).arguments() == {
        "in_features": 2,
        "out_features": 3,
        "bias": True,
        "name": None,
    }


def test_a_subclass_keeps_its_own_call() -> None:
    assert Square(4, bias=False).arguments() == {"size": 4, "options": {"bias": False}}


def test_the_base_needs_no_call_and_no_init() -> None:
    assert Bare().arguments() == {}
    assert Bare().training
    assert Bare().input_grad


def test_a_module_without_init_refuses_arguments() -> None:
    with pytest.raises(TypeError):
        Bare(3)


def test_modules_among_the_arguments_are_those_of_now() -> None:
    pair = Pair(Dense(2, 3), Dense(3, 1))
    replaced = Dense(3, 9)
    pair.second = replaced
    assert pair.arguments()["second"] is replaced
    stack = Stack(Dense(2, 3), Dense(3, 1))
    stack.layers.append(replaced)
    assert stack.arguments()["layers"][-1] is replaced


def test_a_wrong_call_says_what_python_says() -> None:
    with pytest.raises(TypeError, match="out_features"):
        Dense(2)


def test_the_signature_is_the_constructors() -> None:
    assert list(inspect.signature(Dense).parameters) == ["in_features", "out_features", "bias", "name"]
    assert list(inspect.signature(Bare).parameters) == []


def test_repr_shows_what_is_not_default() -> None:
    assert repr(Dense(2, 3)) == "Dense(in_features=2, out_features=3)"
    assert repr(Dense(2, 3, False, name="a")) == "Dense(in_features=2, out_features=3, bias=False, name='a')"
    assert repr(Bare()) == "Bare()"


def test_repr_indents_children() -> None:
    inner = Pair(Dense(1, 2), Bare())
    assert repr(Pair(inner, Bare(), scale=2.0)) == "\n".join(
        [
            "Pair(scale=2.0",
            "  (first): Pair(",
            "    (first): Dense(in_features=1, out_features=2)",
            "    (second): Bare()",
            "  )",
            "  (second): Bare()",
            ")",
        ]
    )


def test_deepcopy_is_independent_and_keeps_what_was_shared() -> None:
    shared = Dense(2, 2)
    net = Pair(shared, shared)
    twin = copy.deepcopy(net)
    assert twin.first is twin.second
    assert twin.first is not shared
    twin.first.weight.value.zero_()
    assert shared.weight.value.abs().sum() > 0
    assert twin.arguments()["first"] is twin.first
    assert repr(twin) == repr(net)
