"""LBFGS against torch.optim.LBFGS on functions whose gradients are written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mytorch.core import ArgumentError, Parameter, StateError
from mytorch.optim import LBFGS, SGD


def rosenbrock(a, b):
    """sum((1 - a)^2) + 5 sum((b - a^2)^2), and its gradients."""
    value = (1 - a).square().sum() + 5 * (b - a * a).square().sum()
    return value, -2 * (1 - a) - 20 * a * (b - a * a), 10 * (b - a * a)


class Pair:
    """An optimizer and its torch twin at one point, and how often each evaluated."""

    def __init__(self, dtype=torch.float64, seed=0, **settings):
        generator = torch.Generator().manual_seed(seed)
        values = [torch.randn(2, 3, dtype=dtype, generator=generator) for _ in range(2)]
        self.parameters, self.twins = [Parameter(v.clone()) for v in values], [v.clone() for v in values]
        self.calls = [0, 0]
        self.build(**settings)

    def build(self, **settings):
        self.ours, self.theirs = LBFGS(self.parameters, **settings), torch.optim.LBFGS(self.twins, **settings)

    def our_closure(self):
        self.calls[0] += 1
        self.ours.zero_grad()
        a, b = self.parameters
        value, a.grad, b.grad = rosenbrock(a.value, b.value)
        return value

    def their_closure(self):
        self.calls[1] += 1
        a, b = self.twins
        value, a.grad, b.grad = rosenbrock(a, b)
        return value

    def step(self, tolerance=1e-9):
        ours, theirs = self.ours.step(self.our_closure), self.theirs.step(self.their_closure)
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
        assert self.calls[0] == self.calls[1]
        for parameter, twin in zip(self.parameters, self.twins, strict=True):
            torch.testing.assert_close(parameter.value, twin, rtol=tolerance, atol=tolerance)


SETTINGS = [
    {"lr": 0.05, "max_iter": 4},
    {"lr": 0.05, "max_iter": 1},
    {"lr": torch.tensor([0.05]), "history_size": 2, "max_iter": 5},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 3, "max_eval": 4, "lr": 20.0},
    {"line_search_fn": "strong_wolfe", "lr": 0.01, "tolerance_grad": 1e-2, "tolerance_change": 1e-4},
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("own", SETTINGS, ids=str)
def test_equals_torch(own, seed):
    pair = Pair(seed=seed, **own)
    for _ in range(6):
        pair.step()


drawn = st.fixed_dictionaries(
    {
        "max_iter": st.integers(1, 8),
        "max_eval": st.sampled_from([None, 1, 4, 30]),
        "history_size": st.sampled_from([1, 2, 100]),
        "tolerance_grad": st.sampled_from([0, 1e-7, 1e-2]),
        "tolerance_change": st.sampled_from([1e-9, 1e-3]),
    }
)
lengths = st.sampled_from([("strong_wolfe", 1.0), ("strong_wolfe", 0.01), (None, 0.05), (None, 1e-3), (None, 0)])


@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(drawn, lengths, st.integers(0, 1000))
def test_equals_torch_over_drawn_settings(own, length, seed):
    line_search_fn, lr = length
    pair = Pair(seed=seed, lr=lr, line_search_fn=line_search_fn, **own)
    for _ in range(6):
        pair.step()


def test_equals_torch_in_float32():
    pair = Pair(torch.float32, line_search_fn="strong_wolfe", max_iter=3)
    for _ in range(2):
        pair.step(1e-4)


def test_finds_the_minimum():
    pair = Pair(line_search_fn="strong_wolfe", max_iter=100)
    pair.ours.step(pair.our_closure)
    for parameter in pair.parameters:
        torch.testing.assert_close(parameter.value, torch.ones_like(parameter.value), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", [{"lr": 0.05, "max_iter": 3}, {"line_search_fn": "strong_wolfe", "max_iter": 3}])
def test_state_goes_to_torch_and_back_half_way(settings):
    pair = Pair(**settings)
    for _ in range(2):
        pair.step()
    held, other = pair.ours.state_dict()["state"][0], pair.theirs.state_dict()["state"][0]
    assert held.keys() == other.keys() - {"al"}
    for name in ("func_evals", "n_iter"):
        assert held[name] == other[name]
    to_theirs, to_ours = pair.ours.state_dict(), pair.theirs.state_dict()
    pair.build()
    pair.ours.load_state_dict(to_ours)
    pair.theirs.load_state_dict(to_theirs)
    for _ in range(3):
        pair.step()


def test_loaded_lists_are_its_own():
    pair = Pair(lr=0.05, max_iter=3)
    pair.step()
    other = LBFGS(pair.parameters, lr=0.05, max_iter=3)
    other.load_state_dict(pair.ours.state_dict())
    before = len(other.state[pair.parameters[0]]["old_dirs"])
    pair.step()
    assert len(other.state[pair.parameters[0]]["old_dirs"]) == before


def test_vectors_follow_values_to_another_dtype():
    pair = Pair(torch.float32, lr=0.05, max_iter=3)
    pair.ours.step(pair.our_closure)
    for parameter in pair.parameters:
        parameter.value = parameter.value.double()
    pair.ours.step(pair.our_closure)
    held = pair.ours.state[pair.parameters[0]]
    assert {vector.dtype for vector in [held["d"], *held["old_dirs"], *held["old_stps"]]} == {torch.float64}


def test_works_in_inference_mode_and_after_it():
    pair = Pair(line_search_fn="strong_wolfe", max_iter=3)
    with torch.inference_mode():
        pair.ours.step(pair.our_closure)
    pair.theirs.step(pair.their_closure)
    pair.step()


def test_what_is_frozen_or_without_a_gradient_stays():
    a, b, c = (Parameter(torch.full((2,), 2.0)) for _ in range(3))
    b.trainable = False
    optimizer = LBFGS([a, b, c], lr=0.1, max_iter=3)

    def closure():
        a.grad, b.grad = a.value.clone(), b.value.clone()
        return a.value.square().sum() / 2

    optimizer.step(closure)
    assert (a.value < 2).all()
    assert (b.value == 2).all()
    assert (c.value == 2).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": -1.0}, "lr must be at least 0, got -1.0"),
        ({"max_iter": 0}, "max_iter must be an integer of at least 1, got 0"),
        ({"max_iter": 2.5}, "max_iter must be an integer of at least 1, got 2.5"),
        ({"max_eval": 0}, "max_eval must be an integer of at least 1, got 0"),
        ({"history_size": 0}, "history_size must be an integer of at least 1, got 0"),
        ({"tolerance_grad": -1.0}, "tolerance_grad must be at least 0, got -1.0"),
        ({"line_search_fn": "armijo"}, "line_search_fn must be None or 'strong_wolfe', got 'armijo'"),
    ],
)
def test_settings_outside_their_range(settings, text):
    with pytest.raises(ArgumentError, match=f"^LBFGS: {text}$"):
        LBFGS([Parameter(torch.ones(2))], **settings)


def test_bad_input():
    parameter = Parameter(torch.ones(2))
    optimizer = LBFGS([parameter])
    with pytest.raises(ArgumentError, match=r"^LBFGS: step must be given a closure .* fit\(step=...\)$"):
        optimizer.step()
    with pytest.raises(ArgumentError, match=r"^LBFGS: step must be given a closure .*, got an int; call step"):
        optimizer.step(3)
    for value, kind in ((None, "None"), ("low", "a str"), (torch.ones(2), "a Tensor")):
        with pytest.raises(ArgumentError, match=f"^LBFGS: closure must return the loss, one number, got {kind}$"):
            optimizer.step(lambda value=value: value)
    with pytest.raises(ArgumentError, match=r"^LBFGS: parameters must be updated all at once"):
        optimizer.step_only([parameter])
    with pytest.raises(ArgumentError, match=r"^LBFGS: params must be one group, got several"):
        LBFGS([{"params": [parameter]}, {"params": [Parameter(torch.ones(2))]}])
    with pytest.raises(ArgumentError, match=r"^LBFGS: params must be real, got torch.complex64$"):
        LBFGS([Parameter(torch.ones(2, dtype=torch.complex64))])
    with pytest.raises(StateError, match=r"^LBFGS: state must be that of LBFGS"):
        optimizer.load_state_dict(SGD([parameter], momentum=0.9).state_dict())


def test_vectors_of_another_length_are_refused_and_nothing_changes():
    pair = Pair(lr=0.05, max_iter=3)
    pair.step()
    optimizer = LBFGS([Parameter(torch.ones(4)), Parameter(torch.ones(3))], lr=0.5)
    with pytest.raises(StateError, match=r"^LBFGS: state must have vectors of 7 numbers, .* got a tensor of \(12,\)$"):
        optimizer.load_state_dict(pair.ours.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("old_dirs", True, "state 'old_dirs' must be a list, got a bool"),
        ("old_stps", None, "state after an iteration must have 'old_stps', got none"),
        ("d", None, "state after an iteration must have 'd', got none"),
        ("ro", [], r"state must have old_dirs, old_stps, ro of one length, got \[\d, \d, 0\]"),
        ("ro", [True] * 3, "state 'ro' must be one number, got True"),
        ("n_iter", True, "state 'n_iter' must be one number, got True"),
    ],
)
def test_a_history_that_no_iteration_leaves_is_refused_and_nothing_changes(name, value, told):
    parameter = Parameter(torch.tensor([1.0, -2.0]))
    optimizer = LBFGS([parameter], lr=0.1, max_iter=4)

    def closure():
        parameter.grad = 2 * parameter.value * torch.tensor([1.0, 3.0])
        return (parameter.value**2 * torch.tensor([1.0, 3.0])).sum()

    optimizer.step(closure)
    state, kept = optimizer.state_dict(), optimizer.state[parameter]
    state["state"][0] = {**state["state"][0], name: value}
    with pytest.raises(StateError, match=rf"^LBFGS: .*{told}"):
        optimizer.load_state_dict(state)
    assert optimizer.state[parameter] is kept
