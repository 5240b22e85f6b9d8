"""A module as JSON, and back."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    DescriptionError,
    Module,
    Parameter,
    describe,
    outline,
    random_state,
    rebuild,
    tie,
)
from mytorch.plugins import UnknownNameError


class Dense(Module):
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        factory = {"device": device, "dtype": dtype}
        self.weight = Parameter(torch.randn(out_features, in_features, **factory))
        self.bias = Parameter(torch.randn(out_features, **factory)) if bias else None


class Stack(Module):
    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)


class Pair(Module):
    def __init__(self, first: Module, second: Any = None, **named: Any) -> None:
        self.first, self.second = first, second


class Options(Module):
    def __init__(self, value: Any) -> None:
        self.value = value


class Clip(Module):
    def __init__(self, bound: Tensor) -> None:
        self.bound = bound


class Borrowed(Module):
    def __init__(self, weight: Parameter) -> None:
        self.weight = weight


CLASSES = {f"{cls.__module__}:{cls.__qualname__}": cls for cls in (Dense, Stack, Pair, Options, Clip, Borrowed)}


def round_trip(net: Module) -> Any:
    description, tensors = describe(net)
    return rebuild(json.loads(json.dumps(description, allow_nan=False)), tensors, classes=CLASSES)


def test_is_plain_json_with_the_class_and_its_arguments() -> None:
    description, tensors = describe(Dense(2, 3, bias=False))
    assert description == {
        "format": 1,
        "model": {
            "type": f"{__name__}:Dense",
            "in_features": 2,
            "out_features": 3,
            "bias": False,
            "device": None,
            "dtype": None,
        },
        "tied": [],
    }
    assert tensors == {}


def test_containers_are_built_again_with_their_present_children() -> None:
    net = Stack(Dense(2, 3), Stack(Dense(3, 4)))
    net.layers.append(Dense(4, 5))
    net.layers[0] = Dense(9, 3, bias=False)
    twin = round_trip(net)
    assert repr(twin) == repr(net)
    twin.load_state_dict(net.state_dict())


def test_shared_modules_stay_shared() -> None:
    shared = Dense(2, 2)
    twin = round_trip(Stack(shared, Dense(2, 2), shared))
    assert twin.layers[0] is twin.layers[2]
    assert twin.layers[0] is not twin.layers[1]


def test_tied_parameters_stay_tied() -> None:
    net = Stack(Dense(2, 2), Dense(2, 2))
    net.layers[1].weight = net.layers[0].weight
    description, _ = describe(net)
    assert description["tied"] == [["layers.0.weight", "layers.1.weight"]]
    twin = round_trip(net)
    assert twin.layers[0].weight is twin.layers[1].weight
    assert len(twin.param()) == 3


def test_a_parameter_among_the_arguments_is_tied_to_its_owner() -> None:
    owner = Dense(2, 3, dtype=torch.float64)
    twin = round_trip(Pair(owner, Borrowed(owner.weight)))
    assert twin.second.weight is twin.first.weight
    assert twin.second.weight.value.dtype is torch.float64


def test_tensors_go_beside_the_description() -> None:
    bound = torch.randn(3)
    net = Stack(Clip(bound))
    description, tensors = describe(net)
    assert list(tensors) == ["model.layers.0.bound"]
    torch.testing.assert_close(round_trip(net).layers[0].bound, bound)
    with pytest.raises(DescriptionError, match=r"the tensor 'model\.layers\.0\.bound' is missing from the weights"):
        rebuild(description, classes=CLASSES)


HELD = [
    *[None, True, 3, 0.5, "text", float("inf"), float("-inf"), torch.float16, torch.device("cpu")],
    *[[1, [2.0, "a"]], {"a": 1, "b": {"c": [None]}}, {"a": torch.float64}],
]


@pytest.mark.parametrize("value", HELD, ids=str)
def test_arguments_that_can_be_held(value: Any) -> None:
    assert round_trip(Options(value)).value == value


def test_nan_and_tuples() -> None:
    assert torch.tensor(round_trip(Options(float("nan"))).value).isnan()
    assert round_trip(Options((1, 2))).value == [1, 2]


@pytest.mark.parametrize("value", [lambda x: x, {1: 2}, {1, 2}, object(), b"bytes", {"type": "me"}, 1j], ids=str)
def test_an_argument_that_json_cannot_hold_is_named_with_its_path(value: Any) -> None:
    message = r"model\.layers\.1\.value\.0: an argument must be something JSON can hold, a module or a tensor, got"
    with pytest.raises(DescriptionError, match=message):
        describe(Stack(Dense(1, 1), Options([value])))


def test_an_argument_called_type_is_refused() -> None:
    class Odd(Module):
        def __init__(self, type: int) -> None:  # noqa: A002
            pass

    with pytest.raises(DescriptionError, match="model: no argument may be called 'type'"):
        describe(Odd(1))


def test_classes_of_ones_own_and_those_already_imported() -> None:
    description, _ = describe(Dense(2, 3))
    assert isinstance(rebuild(description), Dense)  # this very module is imported
    assert isinstance(
        rebuild(description | {"model": {"type": "mine", "value": 1}}, classes={"mine": Options}), Options
    )


def test_an_unknown_type_names_its_path_and_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    from mytorch.core import description as module
    from mytorch.plugins import Catalogue, Part

    known = Catalogue([Part("layer", "Linear", "mytorch-nn", "0.1", "mytorch.nn:Linear", None)])
    monkeypatch.setattr(module, "catalogue", lambda: known)
    spec = {"format": 1, "model": {"type": f"{__name__}:Stack", "layers": [{"type": "Liner", "in_features": 2}]}}
    with pytest.raises(UnknownNameError, match=r"layer: 'Liner' is not installed\. Nearest: Linear") as caught:
        rebuild(spec)
    assert caught.value.__notes__ == ["at model.layers.0.type"]


def test_nothing_is_imported_by_a_dotted_name() -> None:
    import sys

    assert "antigravity" not in sys.modules
    with pytest.raises(UnknownNameError):
        rebuild({"format": 1, "model": {"type": "antigravity:Module"}})
    assert "antigravity" not in sys.modules


def test_what_does_not_fit_is_named() -> None:
    name = f"{__name__}:Dense"
    with pytest.raises(DescriptionError, match="model: format must be 1, got 2"):
        rebuild({"format": 2, "model": {"type": name}})
    with pytest.raises(DescriptionError, match=r"model: Dense cannot be built from size: .*size"):
        rebuild({"format": 1, "model": {"type": name, "size": 3}})
    with pytest.raises(DescriptionError, match=r"model\.type: 'text' must be a Module, got <class 'str'>"):
        rebuild({"format": 1, "model": {"type": "text"}}, classes={"text": str})
    layers = [{"type": name, "in_features": 1, "out_features": 1}, {"type": "shared", "path": "model.layers.7"}]
    with pytest.raises(DescriptionError, match=r"must be the path of a module before it, got 'model\.layers\.7'"):
        rebuild({"format": 1, "model": {"type": f"{__name__}:Stack", "layers": layers}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"type": "dtype", "name": "float31"}, "dtype must be one of torch's, got 'float31'"),
        ({"type": "dtype", "name": "load"}, "dtype must be one of torch's, got 'load'"),
        ({"type": "parameter", "shape": [1], "dtype": "load"}, "dtype must be one of torch's, got 'load'"),
        (
            {"type": "parameter", "shape": [-1], "dtype": "float32"},
            "parameter must be one that torch can make, got .*",
        ),
        ({"type": "device", "name": "gpu"}, "device must be one of torch's, got 'gpu'"),
        ({"type": "float", "value": "much"}, "float must be a number, got 'much'"),
    ],
)
def test_a_value_that_torch_does_not_know_is_named_with_its_path(value: Any, text: str) -> None:
    layers = {"type": f"{__name__}:Stack", "layers": [value]}
    with pytest.raises(DescriptionError, match=rf"^model\.layers\.0: {text}"):
        rebuild({"format": 1, "model": layers})


def test_construct_sees_path_class_and_arguments() -> None:
    seen = []

    def construct(path: str, cls: type[Module], arguments: dict[str, Any]) -> Module:
        seen.append((path, cls, arguments))
        return cls(*arguments.pop("layers", ()), **arguments)

    rebuild(describe(Stack(Dense(1, 2)))[0], construct=construct)
    assert [(path, cls) for path, cls, _ in seen] == [("model.layers.0", Dense), ("model", Stack)]
    assert seen[0][2]["out_features"] == 2


def doubled(times: int) -> dict[str, Any]:
    """A small description of a module that is used 2 ** times times."""
    name, path = f"{__name__}:Stack", "model" + ".layers.0" * times
    model: dict[str, Any] = {"type": f"{__name__}:Options", "value": 1}
    for _ in range(times):
        model = {"type": name, "layers": [model, {"type": "shared", "path": path}]}
        path = path.removesuffix(".layers.0")
    return model


def test_modules_that_are_shared_within_shared_ones_are_refused() -> None:
    few = rebuild({"format": 1, "model": doubled(10)})
    assert len(list(few.named_modules())) == 11
    assert few.param() == []
    with pytest.raises(
        DescriptionError, match=r"model: modules must be used at most 100,000 times in all, got 2,147,"
    ):
        rebuild({"format": 1, "model": doubled(30), "tied": [["a", "b"]]})
    many: Module = Dense(1, 1)
    for _ in range(30):
        many = Stack(many, many)
    assert len(list(many.named_modules())) == 31
    assert next(name for name, _ in many.named_param()).endswith("layers.0.weight")
    assert many.eval().training is False
    many.input_grad = False
    with pytest.raises(DescriptionError, match=r"used at most 100,000 times in all"):
        describe(many)


def test_a_model_that_is_nested_too_deeply_is_refused() -> None:
    def nested(levels: int) -> Module:
        net: Module = Dense(1, 1)
        for _ in range(levels):
            net = Stack(net)
        return net

    assert len(list(round_trip(nested(70)).named_modules())) == 71
    with pytest.raises(
        DescriptionError, match=r"must be nested at most 150 lists and modules deep, got more"
    ) as error:
        describe(nested(200))
    assert len(str(error.value)) < 200
    model: dict[str, Any] = {"type": f"{__name__}:Options", "value": 1}
    for _ in range(300):
        model = {"type": f"{__name__}:Stack", "layers": [model]}
    with pytest.raises(DescriptionError, match=r"must be nested at most 150 lists and modules deep, got more"):
        rebuild({"format": 1, "model": model})


@pytest.mark.parametrize(
    ("tied", "text"),
    [
        (3, "tied: must be a list of lists of names, got 3"),
        ([3], "tied.0: must be a list of names of one parameter, got 3"),
        ([[]], "tied.0: must be a list of names of one parameter, got []"),
        (
            [["first.weight", "second.wieght"]],
            "tied.0: must hold names of parameters of the model, got 'second.wieght'",
        ),
        ([["first.weight", "third.weight"]], "tied.0: must hold names of parameters of the model, got 'third.weight'"),
        (
            [["first.training", "second.training"]],
            "tied.0: must hold names of parameters of the model, got 'first.t",
        ),
        ([["first.weight", None]], "tied.0: must hold names of parameters of the model, got None"),
    ],
)
def test_tied_names_must_be_those_of_parameters(tied: Any, text: str) -> None:
    description, _ = describe(Pair(Dense(1, 1), Dense(1, 1)))
    with pytest.raises(DescriptionError) as error:
        rebuild({**description, "tied": tied})
    assert str(error.value).startswith(text)
    with pytest.raises(DescriptionError, match="tied: must hold names of parameters"):
        tie(Dense(1, 1), ["weight", "nothing"])


@pytest.mark.parametrize("model", [None, 3, [], "Dense", {}, {"type": 3}, {"type": ["Dense"]}, {"layers": []}])
def test_a_model_that_is_no_module_is_refused(model: Any) -> None:
    with pytest.raises(DescriptionError, match=r"^model: must be a module, with the name of its class as type, got "):
        rebuild({"format": 1, "model": model})
    with pytest.raises(DescriptionError, match=r"^model: a description must be an object"):
        rebuild([model])  # type: ignore[arg-type]


class Scaled(Module):
    """One whose constructor computes with the numbers of a tensor and of its own."""

    def __init__(self, rows: Tensor) -> None:
        self.weight = Parameter(torch.full((int(rows.sum()), 2), float(torch.ones(3).sum())))


def test_an_outline_has_shapes_and_takes_no_memory() -> None:
    large = {"type": f"{__name__}:Dense", "in_features": 3_000_000, "out_features": 3_000_000, "dtype": None}
    borrowed = {"type": f"{__name__}:Borrowed"}
    borrowed["weight"] = {"type": "parameter", "shape": [3_000_000, 3_000_000], "dtype": "float64"}  # type: ignore[assignment]
    model = {"type": f"{__name__}:Stack", "layers": [large, borrowed]}
    with random_state() as before:
        net = outline({"format": 1, "model": model})
        assert before.state_dict()["cpu"].equal(random_state().state_dict()["cpu"])
    shapes = {name: tuple(parameter.value.shape) for name, parameter in net.named_param()}
    assert shapes == {
        "layers.0.weight": (3_000_000, 3_000_000),
        "layers.0.bias": (3_000_000,),
        "layers.1.weight": (3_000_000, 3_000_000),
    }
    assert all(parameter.value.is_meta for parameter in net.param())


def test_an_outline_of_what_needs_numbers_has_its_shapes_too() -> None:
    scaled = {"type": f"{__name__}:Scaled", "rows": {"type": "tensor", "key": "a"}}
    description = {"format": 1, "model": {"type": f"{__name__}:Stack", "layers": [scaled]}}
    (weight,) = outline(description, {"a": torch.ones(3)}).param()
    assert weight.value.shape == (3, 2)
    assert weight.value.is_meta


@pytest.mark.parametrize(
    ("given", "got"),
    [(None, "None"), (torch.nn.Linear(2, 3), "torch.nn.modules.linear.Linear"), (Module, "the class Module; write")],
)
def test_what_is_no_module_is_refused(given, got):
    with pytest.raises(ArgumentError, match=rf"^describe: net must be a Module of mytorch, got {got}"):
        describe(given)
