"""Every module remembers how it was built."""

import copy
import gc
import inspect
import pickle
import weakref

import pytest
import torch

from mytorch.core import DescriptionError, Module, Parameter


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


def test_a_replaced_child_is_freed() -> None:
    for build in (lambda child: Pair(child, Bare()), lambda child: Stack(Bare(), child), lambda child: Other(child)):
        child = Dense(2, 3)
        net, watch = build(child), weakref.ref(child)
        del child
        for name, value in list(vars(net).items()):
            if isinstance(value, list):
                value.pop()
            elif value is watch():
                setattr(net, name, Bare())
            del value
        gc.collect()
        assert watch() is None, net


class Other(Module):
    """Keeps its child under another name than its argument's."""

    def __init__(self, inner: Module) -> None:
        self.kept = inner


class Keeper(Other):
    def __init__(self, size: int) -> None:
        super().__init__(Dense(size, size))


def test_a_child_under_another_name_is_described_until_it_is_replaced() -> None:
    child = Dense(2, 3)
    net = Other(child)
    assert net.arguments() == {"inner": child}
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.arguments()["inner"] is twin.kept
        assert twin.kept is not child
    assert Keeper(3).arguments() == {"size": 3}
    net.kept = Bare()
    del child
    gc.collect()
    assert repr(net) == "Other(\n  (kept): Bare()\n)"
    with pytest.raises(
        DescriptionError, match=r"Other: argument 'inner' must be an attribute of the same name, .* self\.inner"
    ):
        net.arguments()


def test_a_list_that_was_passed_is_kept_as_it_was_then() -> None:
    layers = [Dense(2, 2), Dense(2, 2)]
    net = Grouped(layers, {"a": [layers[0]]})
    assert net.arguments() == {"groups": layers, "more": {"a": [layers[0]]}}
    layers.append(Bare())
    assert len(net.arguments()["groups"]) == 2


class Grouped(Module):
    def __init__(self, groups: list[Module], more: dict[str, list[Module]]) -> None:
        self.first, self.second = groups
        self.again = more["a"][0]
