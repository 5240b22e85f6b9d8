"""Shampoo is the formula of its paper, and its state is checked."""

import copy

import pytest
import torch

from mytorch.core import ArgumentError, Parameter, StateError
from mytorch.optim import Shampoo
from mytorch.optim.shampoo import LONGEST

pytestmark = pytest.mark.numbers


def root_by_svd(matrix, order):
    """matrix^(-1 / order) by another decomposition than the optimizer's."""
    vectors, values, _ = torch.linalg.svd(matrix)
    return vectors @ torch.diag(values ** (-1 / order)) @ vectors.T


def preconditioned(g, statistics):
    """Of a tensor of three axes, written out."""
    one, two, three = (root_by_svd(each, 2 * g.dim()) for each in statistics)
    return torch.einsum("abc,ai,bj,ck->ijk", g, one, two, three)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("root_every", [1, 3])
def test_a_tensor_follows_the_paper(maximize, root_every):
    torch.manual_seed(0)
    parameter = Parameter(torch.randn(2, 3, 4, dtype=torch.float64))
    settings = {"lr": 0.3, "momentum": 0.6, "eps": 0.01, "weight_decay": 0.1}
    optimizer = Shampoo([parameter], **settings, root_every=root_every, maximize=maximize)
    p, b = parameter.value.clone(), torch.zeros(2, 3, 4).double()
    statistics, used = [0.01 * torch.eye(size).double() for size in p.shape], None
    for number in range(7):
        parameter.grad = torch.randn(2, 3, 4, dtype=torch.float64)
        g = (-parameter.grad if maximize else parameter.grad) + 0.1 * p
        added = ["abc,dbc->ad", "abc,adc->bd", "abc,abd->cd"]
        statistics = [h + torch.einsum(axes, g, g) for h, axes in zip(statistics, added, strict=True)]
        used = statistics if number % root_every == 0 else used
        b = 0.6 * b + preconditioned(g, used)
        p = p - 0.3 * b
        optimizer.step()
        torch.testing.assert_close(parameter.value, p, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(), (3,), (4, 2)])
def test_first_steps_of_numbers_vectors_and_matrices(shape):
    torch.manual_seed(0)
    parameter, g = Parameter(torch.zeros(shape).double()), torch.randn(shape).double()
    parameter.grad = g.clone()
    Shampoo([parameter], lr=1.0, eps=0.5).step()
    rows = g.reshape(-1, 1) if g.dim() < 2 else g
    left = root_by_svd(0.5 * torch.eye(len(rows)).double() + rows @ rows.T, 2 if g.dim() < 2 else 4)
    right = torch.eye(1).double() if g.dim() < 2 else root_by_svd(0.5 * torch.eye(2).double() + rows.T @ rows, 4)
    torch.testing.assert_close(parameter.value, -(left @ rows @ right).reshape(shape), rtol=0, atol=1e-9)


def test_a_long_axis_has_a_diagonal(monkeypatch):
    """An axis of more entries than have a matrix is preconditioned by the sums of its own squares."""
    monkeypatch.setattr("mytorch.optim.shampoo.LONGEST", 3)
    torch.manual_seed(0)
    parameter = Parameter(torch.zeros(4, 3, 5).double())
    optimizer = Shampoo([parameter], lr=1.0, eps=0.01)
    p = parameter.value.clone()
    long, middle, last = 0.01 * torch.ones(4).double(), 0.01 * torch.eye(3).double(), 0.01 * torch.ones(5).double()
    for _ in range(3):
        g = parameter.grad = torch.randn(4, 3, 5).double()
        long, last = long + g.square().sum((1, 2)), last + g.square().sum((0, 1))
        middle = middle + torch.einsum("abc,adc->bd", g, g)
        p = p - torch.einsum("a,abc,bj,c->ajc", long ** (-1 / 6), g, root_by_svd(middle, 6), last ** (-1 / 6))
        optimizer.step()
        torch.testing.assert_close(parameter.value, p, rtol=0, atol=1e-9)


def test_the_axis_of_a_vocabulary_takes_no_matrix():
    table = Parameter(torch.ones(50_000, 2))
    optimizer = Shampoo([table])
    table.grad = torch.ones(50_000, 2)
    optimizer.step()
    assert {tuple(each.shape) for each in optimizer.state[table].values() if isinstance(each, torch.Tensor)} <= {
        *((), (50_000,), (2, 2), (50_000, 2))
    }
    other = Shampoo([Parameter(torch.ones(50_000, 2))])
    other.load_state_dict(optimizer.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["root_0"] = torch.ones(2, 2)
    with pytest.raises(StateError, match=r"'root_0' .* must be a vector of \(50000,\), got a tensor of \(2, 2\)"):
        other.load_state_dict(state)
    assert LONGEST < 50_000


@pytest.mark.parametrize("value", [float("nan"), 1e30])
def test_gradients_that_are_not_finite_make_a_step_that_is_not(value):
    parameter = Parameter(torch.ones(2, 3))
    parameter.grad = torch.full((2, 3), value)
    Shampoo([parameter]).step()
    assert parameter.value.isnan().all()


def test_it_needs_fewer_steps_than_descent_where_axes_have_other_curvatures():
    """A quadratic of a matrix that is steep along some rows and columns."""
    torch.manual_seed(0)
    rows, columns = (torch.logspace(-1, 1, size).double() for size in (6, 5))
    target = torch.randn(6, 5).double()

    def steps(lr, made):
        parameter = Parameter(torch.zeros(6, 5).double())
        optimizer = made(parameter, lr)
        for number in range(2000):
            parameter.grad = rows[:, None] * (parameter.value - target) * columns
            if float((parameter.grad * (parameter.value - target)).sum()) < 1e-3:
                return number
            if optimizer is None:
                parameter.value = parameter.value - lr * parameter.grad
            else:
                optimizer.step()
        return 2000

    plain = min(steps(lr, lambda *_: None) for lr in (0.003, 0.01, 0.019))
    ours = steps(1.0, lambda parameter, lr: Shampoo([parameter], lr=lr))
    assert ours < plain / 2, (ours, plain)


def moved(parameter, optimizer, steps):
    for _ in range(steps):
        parameter.grad = parameter.value * torch.arange(1.0, 7.0).reshape(2, 3).to(parameter.value)
        optimizer.step()


def test_state_goes_on_in_another_optimizer():
    one = Parameter(torch.ones(2, 3))
    first = Shampoo([one], lr=0.1, root_every=4)
    moved(one, first, 6)
    two = Parameter(one.value.clone())
    second = Shampoo([two], lr=0.1, root_every=4)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    moved(one, first, 5)
    moved(two, second, 5)
    assert torch.equal(one.value, two.value)


@pytest.mark.parametrize(
    ("name", "wrong", "text"),
    [
        (
            "statistics_0",
            torch.eye(3),
            r"'statistics_0' of a parameter of \(2, 3\) must be a matrix of \(2, 2\)",
        ),
        ("root_1", torch.ones(3), r"'root_1' .* must be a matrix of \(3, 3\), got a tensor of \(3,\)"),
        ("root_1", "much", "'root_1' .* got 'much'"),
        ("statistics_2", torch.eye(3), "'statistics_2' .* must be left out"),
    ],
)
def test_state_of_another_shape_is_refused(name, wrong, text):
    parameter = Parameter(torch.ones(2, 3))
    optimizer = Shampoo([parameter])
    moved(parameter, optimizer, 1)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0][name] = wrong
    with pytest.raises(StateError, match=f"Shampoo: state {text}"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"eps": 0}, "eps must be at least 1e-12, got 0"),
        ({"root_every": 0}, "root_every must be an integer of at least 1, got 0"),
        ({"momentum": -1}, "momentum must be at least 0, got -1"),
    ],
)
def test_settings_out_of_range(settings, text):
    with pytest.raises(ArgumentError, match=f"^Shampoo: {text}$"):
        Shampoo([Parameter(torch.ones(2))], **settings)


def test_too_many_axes_are_refused():
    with pytest.raises(ArgumentError, match="Shampoo: params must have at most 8 axes, got one of shape"):
        Shampoo([Parameter(torch.ones((1,) * 9))])
