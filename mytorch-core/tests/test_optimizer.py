"""The contract of optimizers, shown on one with a running mean of gradients."""

import copy
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    DtypeError,
    Module,
    Optimizer,
    Parameter,
    ShapeError,
    StateError,
    UninitializedParameter,
    persistent,
    require_range,
)


class Mean(Optimizer):
    state_entries: ClassVar = {"mean": "value", "steps": "number"}

    def __init__(self, params: Any, lr: Any = 0.1, rate: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "rate": rate})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_range("Mean", "lr", group["lr"], 0.0)

    def update(self, values: list[Tensor], grads: list[Tensor], states: Any, group: dict[str, Any]) -> None:
        for value, grad, state in zip(values, grads, states, strict=True):
            if not state:
                state["mean"] = persistent(grad)
                state["steps"] = 0
            else:
                state["mean"].lerp_(grad, group["rate"])
            state["steps"] += 1
            value.sub_(group["lr"] * state["mean"])


def with_gradient(*sizes: int) -> list[Parameter]:
    parameters = [Parameter(torch.randn(size)) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter.value)
    return parameters


def test_a_gradient_from_before_a_value_of_another_shape_raises() -> None:
    (parameter,) = with_gradient(3)
    optimizer = Mean([parameter])
    parameter.value = torch.zeros(1)
    with pytest.raises(
        ShapeError, match=r"^Mean: gradient of parameter 0 must have the shape of the value, \(1,\), got \(3,\)$"
    ):
        optimizer.step()
    assert parameter.value.item() == 0


def test_settings_of_a_group_come_before_the_defaults() -> None:
    a, b = with_gradient(2, 3)
    optimizer = Mean([{"params": a, "lr": 1.0}, {"params": [b], "initial_lr": 2.0}], lr=0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.0]
    assert optimizer.param_groups[1]["initial_lr"] == 2.0  # as a schedule writes it
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


def test_a_value_of_another_shape_does_not_meet_the_old_state() -> None:
    first, second = with_gradient(3, 2)
    optimizer = Mean([first, second])
    optimizer.step()
    first.value = first.value.double()
    second.value, second.grad = torch.zeros(5), torch.ones(5)
    text = (
        r"^Mean: state 'mean' of parameter 1 must have the shape of the value, \(5,\), got a tensor of \(2,\); where "
        r"a value was replaced by one of another shape, start anew with optimizer\.state\.pop\(parameter\)$"
    )
    for step in (optimizer.step, lambda: optimizer.step_only([second])):
        with pytest.raises(ShapeError, match=text):
            step()
    assert optimizer.state[first]["mean"].dtype is torch.float32
    optimizer.state.pop(second)
    first.grad = None
    optimizer.step()
    torch.testing.assert_close(second.value, torch.full((5,), -0.1))


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


def saved(*sizes: int) -> dict[str, Any]:
    optimizer = Mean(with_gradient(*sizes), lr=0.3)
    optimizer.step()
    return optimizer.state_dict()


def changed(where: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A saved state with one entry of another value."""
    state = copy.deepcopy(saved(2, 3))
    inner: Any = state
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    return state


WRONG: list[tuple[Any, str]] = [
    (None, "state must be a dict with the keys 'state' and 'param_groups', got NoneType"),
    ({"param_groups": []}, r"state must be a dict with the keys 'state' and 'param_groups', got \['param_groups'\]"),
    (
        {"state": {}, "param_groups": [{}]},
        "state must be a dict of dicts and a list of groups with 'params', got something else",
    ),
    (changed(("param_groups", 0, "params"), None), "a list of groups with 'params', got something else"),
    (changed(("param_groups", 0, "params"), 2), "a list of groups with 'params', got something else"),
    (
        {"state": [], "param_groups": []},
        "state must be a dict of dicts and a list of groups with 'params', got something else",
    ),
    (
        saved(3, 2),
        r"state 'mean' must have the shape of the value, \(2,\), got a tensor of \(3,\) \(parameter 0\); "
        r"state 'mean' must have the shape of the value, \(3,\), got a tensor of \(2,\) \(parameter 1\)",
    ),
    (changed(("state", 0, "mean"), 1.0), r"'mean' must have the shape of the value, \(2,\), got 1.0 \(parameter 0\)"),
    (
        changed(("state", 0, "mean"), torch.ones(2, dtype=torch.int64)),
        "must hold numbers such as the value's, torch.fl",
    ),
    (changed(("state", 0, "mean"), torch.ones(2, dtype=torch.complex64)), "must hold numbers such as the value's"),
    (
        changed(("state", 0, "mean"), torch.ones(2).to_sparse()),
        "must be a dense tensor with numbers, got one of torch.sp",
    ),
    (
        changed(("state", 1, "mean"), torch.ones(3, device="meta")),
        "must be a dense tensor with numbers, got .* on meta",
    ),
    (changed(("state", 1, "steps"), torch.ones(2)), r"state 'steps' must be one number, got a tensor of \(2,\)"),
    (changed(("state", 1, "steps"), "three"), "state 'steps' must be one number, got 'three'"),
    (changed(("state", 1, "steps"), True), "state 'steps' must be one number, got True"),
    (
        changed(("state", 1, "steps"), torch.tensor(True)),
        r"state 'steps' must be one real number, got a tensor of torch.bool",
    ),
    (changed(("state", 1, "steps"), 3j), "state 'steps' must be one number, got 3j"),
    (
        changed(("state", 1, "steps"), torch.ones((), dtype=torch.complex64)),
        r"state 'steps' must be one real number, got a tensor of torch.complex64",
    ),
    (changed(("state", 1, "exp_avg"), torch.ones(3)), "the entries of state_entries, mean, steps, got 'exp_avg'"),
    (changed(("type",), "Median"), "its type must be 'Mean', got 'Median'; where both keep the same, "),
    (changed(("type",), "M" * 999), r"its type must be 'Mean', got 'M{20,120}\.\.\.M*'?; where"),
    (changed(("type",), ["Mean"]), r"its type must be 'Mean', got \['Mean'\]; where"),
    (changed(("state", 7), {}), "state must have a dict for each parameter, got dict for 7"),
    (changed(("state", 1), [1.0]), "state must have a dict for each parameter, got list for 1"),
    (changed(("param_groups", 0, "betas"), (0.9, 0.99)), "group 0 has a setting 'betas' that Mean has not"),
    (changed(("param_groups", 0, "amsgrad"), True), "group 0 has a setting 'amsgrad' that Mean has not"),
    (changed(("param_groups", 0, "lr"), -1.0), "group 0: Mean: lr must be at least 0, got -1.0"),
    (changed(("param_groups", 0, "lr"), "fast"), "group 0: Mean: lr must be a number, got 'fast'"),
]


@pytest.mark.parametrize(("state", "message"), WRONG)
def test_a_state_that_does_not_fit_changes_nothing(state: Any, message: str) -> None:
    parameters = with_gradient(2, 3)
    optimizer = Mean(parameters)
    optimizer.step()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(StateError, match=f"^Mean: .*{message}"):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    for part in ("state", "param_groups"):
        torch.testing.assert_close(after[part], before[part], rtol=0, atol=0)


class Derived(Mean):
    """One more of the same."""


class Stranger(Optimizer):
    """Keeps the same as Mean."""

    state_entries = Mean.state_entries

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.1, "rate": 0.5})


def test_a_state_is_taken_from_a_class_that_it_derives_from_and_from_no_other() -> None:
    state = saved(2, 3)
    assert state["type"] == "Mean"
    Derived(with_gradient(2, 3)).load_state_dict(state)
    Stranger(with_gradient(2, 3)).load_state_dict({name: state[name] for name in ("state", "param_groups")})
    with pytest.raises(
        StateError, match=r"^Stranger: state must be that of Stranger .* its type must be 'Stranger', got"
    ):
        Stranger(with_gradient(2, 3)).load_state_dict(state)
    with pytest.raises(StateError, match="its type must be 'Mean', got 'Derived'"):
        Mean(with_gradient(2, 3)).load_state_dict(Derived(with_gradient(2, 3)).state_dict())


def test_all_differences_are_told_at_once() -> None:
    state = saved(3, 2)
    state["param_groups"][0] |= {"lr": -1.0, "betas": (0.9, 0.99)}
    with pytest.raises(StateError, match=r"'betas'.*lr must be at least 0.*\(parameter 0\).*\(parameter 1\)"):
        Mean(with_gradient(2, 3)).load_state_dict(state)


def test_parameters_in_another_order_are_told_by_their_names() -> None:
    a, b = with_gradient(2, 2)
    state = Mean([("a", a), ("b", b)]).state_dict()
    with pytest.raises(StateError, match="group 0 must have its parameters in the same order, got 'a' for 'b'"):
        Mean([("b", b), ("a", a)]).load_state_dict(state)
    Mean([b, a]).load_state_dict(state)  # who has no names cannot tell
    Mean([("a", a), ("b", b)]).load_state_dict(Mean([a, b]).state_dict())


def test_flags_of_execution_and_options_that_are_off_are_left_out() -> None:
    state = saved(2, 3)
    flags = {"foreach": None, "fused": True, "capturable": True, "differentiable": False}
    state["param_groups"][0] |= {**flags, "amsgrad": False, "new_in_torch": None, "initial_lr": 0.5}
    optimizer = Mean(with_gradient(2, 3))
    optimizer.load_state_dict(state)
    settings = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    assert settings == {"lr": 0.3, "rate": 0.5, "initial_lr": 0.5}


def test_options_of_which_the_default_does_nothing_may_be_missing() -> None:
    state = saved(2, 3)
    optimizer = Mean(with_gradient(2, 3))
    optimizer.defaults |= {"decay": 0, "decoupled": True, "way": None}
    optimizer.load_state_dict(state)
    optimizer.defaults["eps"] = 1e-8
    with pytest.raises(StateError, match=r"^Mean: .*group 0 must have the setting 'eps'$"):
        optimizer.load_state_dict(state)


def test_entries_that_are_none_are_absent_as_in_older_versions_of_torch() -> None:
    optimizer = Mean(with_gradient(2, 3))
    optimizer.load_state_dict(changed(("state", 0), {"mean": None, "steps": None}))
    assert list(optimizer.state_dict()["state"]) == [1]


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
    assert optimizer.state[layer.weight]["mean"].dtype is torch.float32


def test_counts_do_not_follow_a_value_that_moves() -> None:
    for shape in ((), (2,)):
        parameter = Parameter(torch.zeros(shape))
        parameter.grad = torch.ones(shape)
        optimizer = Mean([parameter], lr=1.0)
        optimizer.step()
        counts = {"steps": torch.tensor(3.0), "seen": torch.ones(shape, dtype=torch.int64)}
        optimizer.state[parameter].update(counts)
        parameter.value, parameter.grad = parameter.value.bfloat16(), parameter.grad.bfloat16()
        optimizer.step()
        found = {name: optimizer.state[parameter][name].dtype for name in ("mean", "steps", "seen")}
        assert found == {"mean": torch.bfloat16, "steps": torch.float32, "seen": torch.int64}


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
