"""Which parameters and groups an optimizer takes."""

from typing import Any

import pytest
import torch
from running_mean import Mean, with_gradient

from mytorch.core import ArgumentError, Module, Parameter, ShapeError, UninitializedParameter


def test_settings_of_a_group_come_before_the_defaults() -> None:
    a, b = with_gradient(2, 3)
    optimizer = Mean([{"params": a, "lr": 1.0}, {"params": [b], "initial_lr": 2.0}], lr=0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.0]
    assert optimizer.param_groups[1]["initial_lr"] == 2.0  # as a schedule writes it
    before = a.value.clone(), b.value.clone()
    optimizer.step()
    torch.testing.assert_close(a.value, before[0] - a.grad)
    torch.testing.assert_close(b.value, before[1])


def test_one_parameter_alone_and_one_group_alone() -> None:
    (parameter,) = with_gradient(2)
    assert Mean(parameter).param_groups[0]["params"] == [parameter]
    assert Mean({"params": [parameter]}).param_groups[0]["params"] == [parameter]


class Layer(Module):
    def __init__(self) -> None:
        self.weight, self.bias = Parameter(torch.zeros(3, 2)), Parameter(torch.zeros(3))


def refused() -> list[tuple[Any, str]]:
    a, b = with_gradient(2, 2)
    return [
        ([], "^Mean: params must hold at least one Parameter, got none$"),
        ([a, a], "^Mean: params must name each Parameter once, got one in two places$"),
        ([{"params": [a]}, {"params": [b, a]}], "^Mean: params must name each Parameter once"),
        ([torch.zeros(2)], r"^Mean: params must hold mytorch Parameters, got torch.Tensor at 0; pass net\.param\(\)$"),
        ([a, torch.nn.Parameter(torch.zeros(2))], r"got torch\.nn\.parameter\.Parameter at 1; pass net\.param\(\)$"),
        ([("a", a), ("b", torch.zeros(2))], r"got torch\.Tensor 'b'; pass net\.param\(\)$"),
        ([("a", a), b], r"^Mean: params must all have names or none, got some of each; pass net\.named_param\(\)$"),
        ([a, None], r"^Mean: params must hold mytorch Parameters, got NoneType at 1; pass net\.param\(\)$"),
        (
            [UninitializedParameter()],
            "^Mean: params must have their shapes, got a lazy Parameter at 0 without a value; call the module",
        ),
        (Layer(), r"^Mean: params must hold Parameters, got the module itself; pass net\.param\(\)$"),
        ([Layer()], r"^Mean: params must hold mytorch Parameters, got Layer at 0; pass net\.param\(\)$"),
        (None, r"^Mean: params must be an iterable of Parameters, got NoneType; pass net\.param\(\)$"),
        (3, r"^Mean: params must be an iterable of Parameters, got int; pass net\.param\(\)$"),
        ("weights", r"^Mean: params must be an iterable of Parameters, got str; pass net\.param\(\)$"),
        (torch.zeros(2), r"^Mean: params must be an iterable of Parameters, got Tensor; pass net\.param\(\)$"),
        ([{"params": None}], r"^Mean: params must be an iterable of Parameters, got NoneType"),
        ([{"weights": [a]}], "^Mean: a parameter group must be a dict with the key 'params', got"),
        ([{"params": [a]}, b], "^Mean: a parameter group must be a dict with the key 'params', got Parameter"),
        ([{"params": [a], "lr": -1.0}], r"^Mean: lr must be at least 0, got -1\.0"),
        (
            [{"params": [a], "rat": 1.0}],
            r"^Mean: a parameter group must hold settings of Mean, got 'rat'\. Nearest: rate",
        ),
        ([{"params": [a], "momentum": 1.0}], "^Mean: a parameter group must hold settings of Mean, got 'momentum'"),
    ]


@pytest.mark.parametrize(("params", "message"), refused())
def test_what_is_refused(params: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Mean(params)


def test_an_iterator_and_pairs_of_names_are_taken() -> None:
    layer = Layer()
    assert Mean(iter(layer.param())).param_groups[0]["params"] == list(layer.param())
    named = Mean(layer.named_param(), lr=1.0)
    assert named.param_groups[0]["params"] == list(layer.param())
    assert named.param_groups[0]["param_names"] == ["weight", "bias"]
    assert repr(named) == "Mean(lr=1.0, rate=0.5)"
    grouped = Mean([{"params": layer.named_param(), "lr": 0.5}])
    assert grouped.param_groups[0]["param_names"] == ["weight", "bias"]
    layer.bias.grad = torch.ones(2)
    with pytest.raises(
        ShapeError, match=r"^Mean: gradient of parameter 'bias' must have the shape of the value, \(3,"
    ):
        named.step()


def test_names_are_those_of_torch_s_state_dict() -> None:
    layer = Layer()
    twin = torch.optim.SGD([("weight", torch.zeros(3, 2)), ("bias", torch.zeros(3))], lr=0.1)
    mine, theirs = Mean(layer.named_param()).state_dict(), twin.state_dict()
    assert mine["param_groups"][0]["param_names"] == theirs["param_groups"][0]["param_names"]
