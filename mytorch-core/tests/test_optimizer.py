"""The contract of optimizers, shown on one with a running mean of gradients."""

from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError, Module, Optimizer, Parameter, ShapeError, StateError, persistent, require_range


class Mean(Optimizer):
    def __init__(self, params: Any, lr: Any = 0.1, rate: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "rate": rate})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_range("Mean", "lr", group["lr"], 0.0)

    def update(self, parameters: list[Parameter], group: dict[str, Any]) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["mean"] = persistent(parameter.grad)
                state["steps"] = 0
            else:
                state["mean"].lerp_(parameter.grad, group["rate"])
            state["steps"] += 1
            parameter.value.sub_(group["lr"] * state["mean"])


def with_gradient(*sizes: int) -> list[Parameter]:
    parameters = [Parameter(torch.randn(size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter.value)
    return parameters


def test_a_gradient_from_before_a_value_of_another_shape_raises() -> None:
    (parameter,) = with_gradient(3)
    optimizer = Mean([parameter])
    optimizer.step()
    parameter.zero_grad()
    parameter.value = torch.zeros(1)
    parameter.accumulate(torch.ones(3))
    with pytest.raises(ShapeError, match=r"must have the shape of the value, \(1,\), got \(3,\)"):
        optimizer.step()
    assert parameter.value.item() == 0


def test_settings_of_a_group_come_before_the_defaults() -> None:
    a, b = with_gradient(2, 3)
    optimizer = Mean([{"params": a, "lr": 1.0}, {"params": [b], "note": "kept"}], lr=0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.0]
    assert optimizer.param_groups[1]["note"] == "kept"
    before = a.value.clone(), b.value.clone()
    optimizer.step()
    torch.testing.assert_close(a.value, before[0] - a.grad)
    torch.testing.assert_close(b.value, before[1])


def test_values_are_changed_in_place_and_never_replaced() -> None:
    (parameter,) = with_gradient(3)
    held, place = parameter.value, parameter.value.data_ptr()
    Mean([parameter]).step()
    assert parameter.value is held
    assert held.data_ptr() == place


def test_values_are_read_at_every_step() -> None:
    (parameter,) = with_gradient(3)
    optimizer = Mean([parameter], lr=1.0)
    parameter.value = torch.zeros(3)
    optimizer.step()
    torch.testing.assert_close(parameter.value, -parameter.grad)


def test_passes_by_what_is_frozen_or_has_no_gradient() -> None:
    frozen, idle, trained = with_gradient(2, 2, 2)
    frozen.trainable, idle.grad = False, None
    before = [parameter.value.clone() for parameter in (frozen, idle, trained)]
    optimizer = Mean([frozen, idle, trained])
    optimizer.step()
    changed = [not torch.equal(p.value, old) for p, old in zip((frozen, idle, trained), before, strict=True)]
    assert changed == [False, False, True]
    assert list(optimizer.state_dict()["state"]) == [2]


def test_some_parameters_alone_move_as_in_a_whole_step() -> None:
    def start() -> tuple[list[Parameter], Mean]:
        torch.manual_seed(4)
        held = with_gradient(2, 3, 2, 4)
        held[2].trainable = False
        return held, Mean([{"params": held[:1]}, {"params": held[1:], "lr": 0.5, "rate": 0.25}])

    (whole, optimizer), (parts, other) = start(), start()
    stranger, *_ = with_gradient(2)
    for number in range(3):
        optimizer.step()
        other.step_only([parts[3], stranger])
        other.step_only(parts[:3])
        if number == 1:  # a value that was replaced takes its state along
            for held in (whole, parts):
                held[1].value = held[1].value.double()
                held[1].grad = None if held[1].grad is None else held[1].grad.double()
    torch.testing.assert_close([p.value for p in parts], [p.value for p in whole], rtol=0, atol=0)
    assert other.state[parts[1]]["mean"].dtype is torch.float64
    optimizer.step()
    other.step()  # whole steps go on from there
    torch.testing.assert_close([p.value for p in parts], [p.value for p in whole], rtol=0, atol=0)
    other.step_only([])
    assert stranger not in other.state


def test_an_optimizer_that_must_see_all_parameters_updates_no_part() -> None:
    class Mixes(Mean):
        mixes_parameters = True

    class OwnStep(Mean):
        def step(self) -> None:
            super().step()

    for kind, reason in ((Mixes, "it mixes parameters"), (OwnStep, "it has a step of its own")):
        (parameter,) = with_gradient(2)
        before = parameter.value.clone()
        text = f"{kind.__name__}: parameters must be updated all at once, got some of them: {reason}"
        with pytest.raises(ArgumentError, match=text):
            kind([parameter]).step_only([parameter])
        torch.testing.assert_close(parameter.value, before)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda group: group.update(lr=group["lr"] * 0.9), "lr"),
        (lambda group: group.update(lr=group["lr"].mul(torch.ones(()))), "lr"),
        (lambda group: group.update(count=1), "count"),
        (lambda group: group.pop("rate"), "rate"),
    ],
)
def test_a_setting_that_an_update_writes_is_not_lost_in_silence(write: Any, name: str) -> None:
    class Writes(Mean):
        def update(self, parameters: list[Parameter], group: dict[str, Any]) -> None:
            super().update(parameters, group)
            write(group)

    (parameter,) = with_gradient(2)
    lr = torch.tensor(0.5)
    Mean([parameter], lr=lr).step_only([parameter])
    with pytest.raises(
        StateError,
        match=f"^Writes: update must leave settings as they are while some parameters are updated alone, got another "
        f"'{name}'; keep what changes in the state, or set mixes_parameters = True$",
    ):
        Writes([parameter], lr=lr).step_only([parameter])
    Writes([parameter], lr=lr).step()


def test_zero_grad_sets_none_in_every_group() -> None:
    a, b = with_gradient(2, 3)
    optimizer = Mean([{"params": [a]}, {"params": [b]}])
    optimizer.zero_grad()
    assert a.grad is b.grad is None


def test_one_parameter_alone_and_one_group_alone() -> None:
    (parameter,) = with_gradient(2)
    assert Mean(parameter).param_groups[0]["params"] == [parameter]
    assert Mean({"params": [parameter]}).param_groups[0]["params"] == [parameter]


def refused() -> list[tuple[Any, str]]:
    a, b = with_gradient(2, 2)
    return [
        ([], "Mean: params must hold at least one Parameter, got none"),
        ([a, a], "Mean: params must name each Parameter once, got one in two places"),
        ([{"params": [a]}, {"params": [b, a]}], "Mean: params must name each Parameter once"),
        ([torch.zeros(2)], r"Mean: params must hold mytorch Parameters, got Tensor; pass net\.param\(\)"),
        ([{"weights": [a]}], "Mean: a parameter group must be a dict with the key 'params', got"),
        ([{"params": [a], "lr": -1.0}], r"Mean: lr must be at least 0, got -1\.0"),
    ]


@pytest.mark.parametrize(("params", "message"), refused())
def test_what_is_refused(params: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Mean(params)


def test_update_must_be_defined() -> None:
    with pytest.raises(NotImplementedError, match="Optimizer: update must be defined"):
        Optimizer(with_gradient(2), {"lr": 0.1}).step()


def test_state_dict_numbers_parameters_in_the_order_of_the_groups() -> None:
    a, b, c = with_gradient(1, 2, 3)
    optimizer = Mean([{"params": [b, a]}, {"params": [c], "lr": 0.5}])
    a.grad = None
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert {number: held["mean"].numel() for number, held in state["state"].items()} == {0: 2, 2: 3}
    assert [group["lr"] for group in state["param_groups"]] == [0.1, 0.5]


def test_load_state_dict_goes_on_where_the_other_stopped() -> None:
    first = with_gradient(2, 3)
    optimizer = Mean(first, lr=0.3)
    optimizer.step()
    second = [Parameter(parameter.value.clone()) for parameter in first]
    other = Mean(second, lr=9.0)
    other.load_state_dict(optimizer.state_dict())
    for parameter, twin in zip(first, second, strict=True):
        parameter.grad = torch.randn_like(parameter.value)
        twin.grad = parameter.grad.clone()
    optimizer.step()
    other.step()
    for parameter, twin in zip(first, second, strict=True):
        torch.testing.assert_close(twin.value, parameter.value, rtol=0, atol=0)
        assert other.state[twin]["mean"] is not optimizer.state[parameter]["mean"]
        assert other.state[twin]["steps"] == 2


def test_a_setting_that_is_a_tensor_is_copied_by_load_state_dict() -> None:
    lr = torch.tensor(0.1)
    one, other = Mean(with_gradient(2), lr=lr), Mean(with_gradient(2))
    other.load_state_dict(one.state_dict())
    lr.fill_(5.0)
    assert other.param_groups[0]["lr"] == torch.tensor(0.1)


def test_load_state_dict_refuses_other_groups() -> None:
    state = Mean(with_gradient(2, 3)).state_dict()
    with pytest.raises(StateError, match=r"Mean: state must be for groups of \[1\] parameters, got \[2\]"):
        Mean(with_gradient(2)).load_state_dict(state)


def test_state_follows_a_module_that_moves() -> None:
    class Layer(Module):
        def __init__(self) -> None:
            self.weight = Parameter(torch.zeros(3))

    layer = Layer()
    optimizer = Mean(layer.param(), lr=1.0)
    for dtype in (torch.float32, torch.float64, torch.float32):
        layer.to(dtype)
        layer.weight.grad = torch.ones(3, dtype=dtype)
        optimizer.step()
        assert optimizer.state[layer.weight]["mean"].dtype is dtype
    torch.testing.assert_close(layer.weight.value, torch.full((3,), -3.0))
    wrong = optimizer.state_dict()
    wrong["state"][0]["mean"] = wrong["state"][0]["mean"].double()
    optimizer.load_state_dict(wrong)  # loaded state is converted too
    optimizer.step()
    assert optimizer.state[layer.weight]["mean"].dtype is torch.float32


def test_counts_do_not_follow_a_value_that_moves() -> None:
    for shape in ((), (2,)):
        parameter = Parameter(torch.zeros(shape))
        parameter.grad = torch.ones(shape)
        optimizer = Mean([parameter], lr=1.0)
        optimizer.step()
        counts = {"step": torch.tensor(3.0), "seen": torch.ones(shape, dtype=torch.int64)}
        optimizer.state[parameter].update(counts)
        parameter.value, parameter.grad = parameter.value.bfloat16(), parameter.grad.bfloat16()
        optimizer.step()
        found = {name: optimizer.state[parameter][name].dtype for name in ("mean", "step", "seen")}
        assert found == {"mean": torch.bfloat16, "step": torch.float32, "seen": torch.int64}


def test_state_made_under_inference_mode_is_a_normal_tensor() -> None:
    (parameter,) = with_gradient(2)
    optimizer = Mean([parameter])
    with torch.inference_mode():
        optimizer.step()
    assert not optimizer.state[parameter]["mean"].is_inference()
    optimizer.step()


def test_a_setting_may_be_a_tensor_and_repr_shows_settings() -> None:
    (parameter,) = with_gradient(2)
    lr = torch.tensor(0.0)
    optimizer, before = Mean([parameter], lr=lr), parameter.value.clone()
    optimizer.step()
    torch.testing.assert_close(parameter.value, before)
    lr.fill_(1.0)
    optimizer.step()
    assert not torch.equal(parameter.value, before)
    assert repr(Mean([parameter])) == "Mean(lr=0.1, rate=0.5)"
