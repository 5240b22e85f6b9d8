"""The contract of optimizers, shown on one with a running mean of gradients."""

import copy
import pickle
from typing import Any

import pytest
import torch
from running_mean import Mean, with_gradient
from torch import Tensor

from mytorch.core import ArgumentError, DtypeError, Optimizer, Parameter, ShapeError, StateError


def test_a_gradient_from_before_a_value_of_another_shape_raises() -> None:
    (parameter,) = with_gradient(3)
    optimizer = Mean([parameter])
    parameter.value = torch.zeros(1)
    with pytest.raises(
        ShapeError, match=r"^Mean: gradient of parameter 0 must have the shape of the value, \(1,\), got \(3,\)$"
    ):
        optimizer.step()
    assert parameter.value.item() == 0


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
        def update(self, values: list[Tensor], grads: list[Tensor], states: Any, group: dict[str, Any]) -> None:
            super().update(values, grads, states, group)
            write(group)

    (parameter,) = with_gradient(2)
    lr = torch.tensor(0.5)
    Mean([parameter], lr=lr).step_only([parameter])
    with pytest.raises(
        StateError,
        match=f"^Writes: update must leave settings as they are while some parameters are updated alone, got "
        f"a changed '{name}'; keep what changes in the state, or set mixes_parameters = True$",
    ):
        Writes([parameter], lr=lr).step_only([parameter])
    Writes([parameter], lr=lr).step()


def test_zero_grad_sets_none_in_every_group() -> None:
    a, b = with_gradient(2, 3)
    optimizer = Mean([{"params": [a]}, {"params": [b]}])
    optimizer.zero_grad()
    assert a.grad is b.grad is None


def test_a_gradient_unlike_its_value_is_refused_before_anything_changes() -> None:
    for wrong, error, text in (
        (torch.ones(3, 1), ShapeError, r"must have the shape of the value, \(3,\), got \(3, 1\)$"),
        (torch.ones(()), ShapeError, r"must have the shape of the value, \(3,\), got \(\)$"),
        (
            torch.ones(3, dtype=torch.float64),
            DtypeError,
            "must be as the value is, torch.float32 and torch.strided, got",
        ),
        (
            torch.ones(3).to_sparse(),
            DtypeError,
            "must be as the value is, .* got torch.float32 and torch.sparse_coo; convert it, or the model$",
        ),
        ([1.0, 2.0, 3.0], DtypeError, "must be a tensor, got list$"),
    ):
        first, second = with_gradient(3, 3)
        before = first.value.clone(), second.value.clone()
        second.grad = wrong
        with pytest.raises(error, match=f"^Mean: gradient of parameter 1 {text}"):
            Mean([first, second]).step()
        torch.testing.assert_close((first.value, second.value), before, rtol=0, atol=0)


def test_a_closure_is_called_once_before_the_update() -> None:
    (parameter,) = with_gradient(2)
    parameter.grad = None
    calls = []

    def closure() -> float:
        calls.append(parameter.value.clone())
        parameter.grad = torch.ones(2)
        return 0.25

    optimizer, before = Mean([parameter], lr=1.0), parameter.value.clone()
    assert optimizer.step(closure) == 0.25
    torch.testing.assert_close(calls, [before])
    torch.testing.assert_close(parameter.value, before - 1)
    assert optimizer.step() is None


def test_update_must_be_defined() -> None:
    with pytest.raises(NotImplementedError, match="Optimizer: update must be defined"):
        Optimizer(with_gradient(2), {"lr": 0.1}).step()


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


@pytest.mark.parametrize(("value", "told"), [(-1.0, "at least 0, got -1.0"), ("abc", "a number, got 'abc'")])
def test_a_setting_out_of_range_is_refused_where_it_is_written(value: Any, told: str) -> None:
    parameters = with_gradient(2)
    optimizer = Mean(parameters)
    for one in (optimizer, copy.deepcopy(optimizer)):
        with pytest.raises(ArgumentError, match=rf"^Mean: lr must be {told}"):
            one.param_groups[0]["lr"] = value
        assert one.param_groups[0]["lr"] == 0.1
        one.param_groups[0]["lr"] = 0.0
    before = parameters[0].value.clone()
    optimizer.step()
    torch.testing.assert_close(parameters[0].value, before, rtol=0, atol=0)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.5)  # which is not looked at, since a device may be waited for
    optimizer.step()
    assert not torch.equal(parameters[0].value, before)


def test_a_closure_that_is_no_function_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"^Mean: closure must be a function that computes .*, got an int"):
        Mean(with_gradient(2)).step(5)  # type: ignore[arg-type]


def test_a_pickled_optimizer_keeps_no_value_that_was_replaced() -> None:
    (parameter,) = with_gradient(100_000)
    optimizer = Mean([parameter])
    optimizer.step()
    parameter.value, parameter.grad = torch.zeros(1), torch.ones(1)
    optimizer.state.clear()
    kept = pickle.dumps(optimizer)
    assert len(kept) < 10_000
    again: Mean = pickle.loads(kept)
    again.step()
    optimizer.step()
    assert again.param_groups[0]["params"][0].value.item() == parameter.value.item() != 0
