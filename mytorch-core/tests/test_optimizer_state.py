"""The state of an optimizer: what is saved, what may be loaded, and which dtype it keeps."""

import copy
from typing import Any

import pytest
import torch
from running_mean import Mean, with_gradient

from mytorch.core import Module, Optimizer, Parameter, ShapeError, StateError
from mytorch.core.optimizer_state import move


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


def test_a_number_follows_its_value_to_another_device_and_keeps_its_dtype() -> None:
    """Or a fused kernel would not be given it, and a resumed run round otherwise; the meta device stands for a GPU."""
    state = {"step": torch.tensor(3.0), "count": 4, "mean": torch.ones(2), "own": torch.ones(5)}
    entries = {"step": "number", "count": "number", "mean": "value", "own": "other"}
    move(state, entries, torch.zeros(2, dtype=torch.bfloat16, device="meta"))
    found = {name: (held.device.type, held.dtype) for name, held in state.items() if isinstance(held, torch.Tensor)}
    assert found == {
        "step": ("meta", torch.float32),
        "mean": ("meta", torch.bfloat16),
        "own": ("cpu", torch.float32),
    }
    assert state["count"] == 4
