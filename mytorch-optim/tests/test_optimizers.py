"""What holds for every optimizer: it converges, its kernel is used where one is, and Lion follows its paper."""

import pytest
import torch

from mytorch.core import Parameter
from mytorch.optim import (
    ASGD,
    LAMB,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
)

SETTINGS = {
    ASGD: {"lr": 0.1},
    Adadelta: {"lr": 0.1, "eps": 1e-3},
    Adafactor: {"lr": 1.0},
    Adagrad: {"lr": 0.5},
    Adam: {"lr": 0.1},
    AdamW: {"lr": 0.1},
    Adamax: {"lr": 0.1},
    Lion: {"lr": 0.01},
    NAdam: {"lr": 0.1},
    RAdam: {"lr": 0.1},
    RMSprop: {"lr": 0.02},
    Rprop: {},
    SGD: {"lr": 0.1},
    SparseAdam: {"lr": 0.1},
}


@pytest.mark.parametrize("cls", SETTINGS)
def test_a_line_is_found(cls):
    """Least squares of y = 3 x1 - 2 x2 + 0.5: the loss comes down to a thousandth of what it was."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 2, dtype=torch.float64, generator=generator)
    y = x @ torch.tensor([3.0, -2.0], dtype=torch.float64) + 0.5
    weight, bias = Parameter(torch.zeros(2, dtype=torch.float64)), Parameter(torch.zeros((), dtype=torch.float64))
    optimizer = cls([weight, bias], **SETTINGS[cls])
    losses = []
    for _ in range(600):
        error = x @ weight.value + bias.value - y
        losses.append(error.square().mean().item())
        weight.grad, bias.grad = 2 * x.T @ error / len(x), 2 * error.mean()
        optimizer.step()
    assert losses[-1] < 1e-3 * losses[0]
    torch.testing.assert_close(weight.value, torch.tensor([3.0, -2.0], dtype=torch.float64), atol=0.1, rtol=0)


@pytest.mark.parametrize(
    ("cls", "kernel", "settings"),
    [
        (Adam, "_fused_adam_", {}),
        (Adam, "_fused_adam_", {"amsgrad": True}),
        (Adam, "_fused_adamw_", {"decoupled_weight_decay": True}),
        (AdamW, "_fused_adamw_", {}),
        (Adagrad, "_fused_adagrad_", {}),
    ],
)
def test_the_kernel_takes_later_steps_of_all_parameters_in_one_call(monkeypatch, cls, kernel, settings):
    calls, own = [], getattr(torch, kernel)

    def counting(values, *rest, **named):
        calls.append(len(values))
        own(values, *rest, **named)

    monkeypatch.setattr(torch, kernel, counting)
    parameters = [Parameter(torch.randn(3, 2)), Parameter(torch.randn(4))]
    optimizer = cls(parameters, **settings)

    def step(*with_grad):
        for number, parameter in enumerate(parameters):
            parameter.grad = torch.randn_like(parameter.value) if number in with_grad else None
        optimizer.step()

    step(0)
    assert calls == []
    step(0, 1)  # the second parameter's first step is the formula's
    step(0, 1)
    assert calls == [1, 2]
    assert [optimizer.state[parameter]["step"].item() for parameter in parameters] == [3.0, 2.0]


@pytest.mark.parametrize(
    "count",
    [
        torch.tensor(1.0, dtype=torch.float64),
        torch.tensor(1),
        torch.tensor([1.0, 1.0])[:1],
        1,
        1.0,
    ],
    ids=["float64", "int64", "one axis", "int", "float"],
)
@pytest.mark.parametrize("cls", [Adam, AdamW, Adagrad])
def test_counts_of_other_kinds_give_the_same(cls, count):
    def start():
        parameters = [Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64))]
        optimizer = cls(parameters, lr=0.1)
        parameters[0].grad = parameters[0].value.clone()
        optimizer.step()
        return parameters, optimizer

    (plain,), expected = start()
    (parameter,), optimizer = start()
    state = optimizer.state_dict()
    state["state"][0]["step"] = count
    optimizer.load_state_dict(state)
    for _ in range(3):
        expected.step()
        optimizer.step()
        torch.testing.assert_close(parameter.value, plain.value, rtol=1e-12, atol=1e-12)
    assert float(optimizer.state[parameter]["step"]) == 4.0


def test_amsgrad_switched_on_in_mid_run_begins_its_maximum_there():
    parameter = Parameter(torch.ones(3))
    optimizer = Adam([parameter], lr=0.1)
    for step in range(4):
        optimizer.param_groups[0]["amsgrad"] = step >= 2
        parameter.grad = torch.full((3,), 2.0 - step)
        optimizer.step()
    held = optimizer.state[parameter]
    assert held["step"].item() == 4.0
    assert (held["max_exp_avg_sq"] >= held["exp_avg_sq"]).all()
    assert held["max_exp_avg_sq"].min() > 0


def test_muon_finds_a_matrix_by_steps_of_one_size():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    wanted = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    weight = Parameter(torch.zeros(3, 2, dtype=torch.float64))
    optimizer = Muon([weight], lr=0.05, weight_decay=0.0)
    for number in range(200):
        before = weight.value.clone()
        weight.grad = x.T @ (x @ weight.value - x @ wanted) / len(x)
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - number / 200)
        optimizer.step()
        lengths = torch.linalg.svdvals(weight.value - before) / optimizer.param_groups[0]["lr"] / 1.5**0.5
        assert 0.6 < lengths.max() < 1.3
    torch.testing.assert_close(weight.value, wanted, rtol=0, atol=0.05)


def test_sparse_adam_leaves_elements_without_a_gradient_alone():
    parameter = Parameter(torch.ones(3, 2))
    optimizer = SparseAdam([parameter], lr=0.1)
    for rows in ([0, 2], [2]):
        parameter.grad = torch.zeros(3, 2)
        parameter.grad[rows] = torch.randn(len(rows), 2)
        before, held = parameter.value.clone(), {k: v.clone() for k, v in optimizer.state[parameter].items()}
        optimizer.step()
        still = [row for row in range(3) if row not in rows]
        torch.testing.assert_close(parameter.value[still], before[still], rtol=0, atol=0)
        assert (parameter.value[rows] != before[rows]).all()
        for name in held.keys() - {"step"}:
            torch.testing.assert_close(optimizer.state[parameter][name][still], held[name][still], rtol=0, atol=0)


def test_lion_follows_its_paper():
    parameter, g = Parameter(torch.tensor([1.0, -2.0, 0.0])), torch.tensor([0.5, -3.0, 0.0])
    optimizer = Lion([parameter], lr=0.1, betas=(0.5, 0.75), weight_decay=1.0)
    parameter.grad = g
    optimizer.step()  # c = g / 2; p = 0.9 p - 0.1 sign(c); m = g / 4
    torch.testing.assert_close(parameter.value, torch.tensor([0.8, -1.7, 0.0]))
    torch.testing.assert_close(optimizer.state[parameter]["exp_avg"], g / 4)
    parameter.grad = torch.tensor([-0.1, 1.0, -1.0])
    optimizer.step()  # c = m / 2 + d_p / 2 = (0.0125, 0.125, -0.5)
    torch.testing.assert_close(parameter.value, torch.tensor([0.72 - 0.1, -1.53 - 0.1, 0.1]))
    torch.testing.assert_close(
        optimizer.state[parameter]["exp_avg"], 0.75 * g / 4 + 0.25 * torch.tensor([-0.1, 1.0, -1.0])
    )


def test_lion_goes_up_with_maximize():
    parameter = Parameter(torch.zeros(2))
    optimizer = Lion([parameter], lr=0.1, maximize=True)
    parameter.grad = torch.tensor([1.0, -1.0])
    optimizer.step()
    torch.testing.assert_close(parameter.value, torch.tensor([0.1, -0.1]))


def lamb_by_hand(p, g, m, v, t, lr, beta1, beta2, eps, decay):
    """Algorithm 2 of You et al., with numbers of Python's in lists."""
    m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
    v = [beta2 * a + (1 - beta2) * b * b for a, b in zip(v, g, strict=True)]
    means = [(a / (1 - beta1**t), b / (1 - beta2**t)) for a, b in zip(m, v, strict=True)]
    u = [a / (b**0.5 + eps) + decay * x for (a, b), x in zip(means, p, strict=True)]
    length, step = (sum(x * x for x in one) ** 0.5 for one in (p, u))
    ratio = length / step if length > 0 and step > 0 else 1.0
    return [x - lr * ratio * y for x, y in zip(p, u, strict=True)], m, v


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("decay", [0, 0.1])
@pytest.mark.parametrize("start", [[1.0, -2.0, 0.5, 3.0], [0.0] * 4])
def test_lamb_follows_its_paper(start, decay, maximize):
    generator = torch.Generator().manual_seed(0)
    parameter = Parameter(torch.tensor(start, dtype=torch.float64).reshape(2, 2))
    betas, eps = (0.8, 0.95), 1e-3
    optimizer = LAMB([parameter], lr=0.05, betas=betas, eps=eps, weight_decay=decay, maximize=maximize)
    p, m, v = start, [0.0] * 4, [0.0] * 4
    for t in range(1, 51):
        parameter.grad = torch.randn(2, 2, dtype=torch.float64, generator=generator) * (t != 7)
        g = (-parameter.grad if maximize else parameter.grad).flatten().tolist()
        p, m, v = lamb_by_hand(p, g, m, v, t, 0.05, *betas, eps, decay)
        optimizer.step()
        torch.testing.assert_close(parameter.value.flatten().tolist(), p, rtol=1e-12, atol=1e-12)


def test_lamb_without_a_gradient_or_a_value_does_not_divide_by_zero():
    parameter = Parameter(torch.zeros(3))
    optimizer = LAMB([parameter], lr=0.1)
    parameter.grad = torch.zeros(3)
    optimizer.step()
    assert (parameter.value == 0).all()


def test_lamb_finds_a_matrix_by_steps_in_proportion_to_it():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    wanted = torch.randn(3, 2, dtype=torch.float64, generator=generator)
    weight = Parameter(torch.randn(3, 2, dtype=torch.float64, generator=generator))
    optimizer = LAMB([weight], lr=0.1)
    for number in range(300):
        before = weight.value.clone()
        weight.grad = x.T @ (x @ weight.value - x @ wanted) / len(x)
        optimizer.param_groups[0]["lr"] = lr = 0.1 * (1 - number / 300)
        optimizer.step()
        assert ((weight.value - before).norm() / before.norm()).item() == pytest.approx(lr)
    torch.testing.assert_close(weight.value, wanted, rtol=0, atol=0.01)


@pytest.mark.parametrize("make", [NAdam, ASGD])
@pytest.mark.parametrize("changed", [float, lambda held: held.reshape(1), lambda held: held.double()])
def test_a_number_of_the_state_may_be_a_plain_one(make, changed):
    torch.manual_seed(0)
    start, grads = torch.randn(3), torch.randn(4, 3)
    ends = []
    for change in (lambda held: held, changed):
        parameter = Parameter(start.clone())
        optimizer = make([parameter])
        for number, grad in enumerate(grads):
            if number == 2:
                state = optimizer.state_dict()
                entries = state["state"][0]
                for name, kind in make.state_entries.items():
                    if kind == "number":
                        entries[name] = change(entries[name])
                optimizer.load_state_dict(state)
            parameter.grad = grad.clone()
            optimizer.step()
        ends.append(parameter.value)
    torch.testing.assert_close(ends[0], ends[1])
