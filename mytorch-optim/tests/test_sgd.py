"""SGD against torch.optim.SGD, step for step."""

import random

import pytest
import torch
from torch import Tensor

from mytorch.core import Parameter
from mytorch.optim import SGD

SHAPES = [(25, 2), (25,), (), (3, 1, 4)]


def random_settings(seed: int) -> dict[str, float | bool]:
    draw = random.Random(seed)
    momentum = draw.choice([0, 0.5, 0.9])
    nesterov = momentum > 0 and draw.random() < 0.4
    return {
        "lr": draw.uniform(1e-3, 0.5),
        "momentum": momentum,
        "dampening": 0 if nesterov else draw.choice([0, 0.3]),
        "weight_decay": draw.choice([0, 0.01]),
        "nesterov": nesterov,
        "maximize": draw.random() < 0.3,
    }


def pair(dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[list[Parameter], list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(shape, dtype=dtype, generator=generator) for shape in SHAPES]
    return [Parameter(value.clone()) for value in values], values


def give_gradients(parameters: list[Parameter], twins: list[Tensor], skip: tuple[int, ...] = ()) -> None:
    for index, (parameter, twin) in enumerate(zip(parameters, twins, strict=True)):
        parameter.grad = twin.grad = None
        if index not in skip:
            parameter.grad = torch.randn_like(twin)
            twin.grad = parameter.grad.clone()


def assert_same(parameters: list[Parameter], twins: list[Tensor]) -> None:
    for parameter, twin in zip(parameters, twins, strict=True):
        exact = {"rtol": 1e-12, "atol": 1e-12} if twin.dtype is torch.float64 else {}
        torch.testing.assert_close(parameter.value, twin, **exact)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("seed", range(12))
def test_equals_torch_step_for_step(seed: int, dtype: torch.dtype) -> None:
    settings = random_settings(seed)
    parameters, twins = pair(dtype, seed)
    ours, theirs = SGD(parameters, **settings), torch.optim.SGD(twins, **settings)
    for step in range(6):
        give_gradients(parameters, twins, skip=(step % 4,) if step % 2 else ())
        ours.step()
        theirs.step()
        assert_same(parameters, twins)


@pytest.mark.parametrize("seed", range(4))
def test_formula_equals_torch_where_the_kernel_does_not_fit(seed: int) -> None:
    settings = random_settings(seed)
    values = [torch.randn(3, 4, dtype=torch.float64).T, torch.randn(5, dtype=torch.float32)]
    parameters, twins = [Parameter(value) for value in values], [value.clone() for value in values]
    assert not parameters[0].value.is_contiguous()
    ours, theirs = SGD(parameters, **settings), torch.optim.SGD(twins, **settings)
    for step in range(4):
        give_gradients(parameters, twins, skip=(1,) if step == 0 else ())
        ours.step()
        theirs.step()
        assert_same(parameters, twins)


def test_non_contiguous_gradient_is_read_by_its_strides() -> None:
    parameter, twin = Parameter(torch.zeros(2, 3)), torch.zeros(2, 3)
    parameter.grad = torch.arange(6.0).reshape(3, 2).T
    twin.grad = parameter.grad.clone()
    ours, theirs = SGD([parameter], 1.0, momentum=0.9), torch.optim.SGD([twin], 1.0, momentum=0.9)
    for _ in range(3):
        ours.step()
        theirs.step()
        torch.testing.assert_close(parameter.value, twin)


def test_velocity_starts_at_the_gradient_even_with_dampening() -> None:
    parameter = Parameter(torch.zeros(2))
    optimizer = SGD([parameter], lr=1.0, momentum=0.9, dampening=0.5)
    parameter.grad = torch.tensor([1.0, -2.0])
    optimizer.step()
    torch.testing.assert_close(parameter.value, torch.tensor([-1.0, 2.0]))
    optimizer.step()  # v = 0.9 g + 0.5 g
    torch.testing.assert_close(parameter.value, torch.tensor([-2.4, 4.8]))


def test_groups_have_settings_of_their_own() -> None:
    parameters, twins = pair()
    ours = SGD([{"params": parameters[:2], "lr": 0.5}, {"params": parameters[2:], "momentum": 0.9}], lr=0.1)
    theirs = torch.optim.SGD([{"params": twins[:2], "lr": 0.5}, {"params": twins[2:], "momentum": 0.9}], lr=0.1)
    for _ in range(3):
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
        assert_same(parameters, twins)


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_state_goes_to_torch_and_back_in_mid_run(momentum: float) -> None:
    settings = {"lr": 0.1, "momentum": momentum, "weight_decay": 0.01}
    parameters, twins = pair()
    ours, theirs = SGD(parameters, **settings), torch.optim.SGD(twins, **settings)
    give_gradients(parameters, twins)
    ours.step()
    theirs.step()
    fresh_ours, fresh_theirs = SGD(parameters, lr=9.0), torch.optim.SGD(twins, lr=9.0)
    fresh_ours.load_state_dict(theirs.state_dict())
    fresh_theirs.load_state_dict(ours.state_dict())
    for _ in range(3):
        give_gradients(parameters, twins)
        fresh_ours.step()
        fresh_theirs.step()
        assert_same(parameters, twins)


def test_state_dict_has_torchs_keys_and_numbers() -> None:
    parameters, twins = pair()
    ours, theirs = SGD(parameters, 0.1, momentum=0.9), torch.optim.SGD(twins, 0.1, momentum=0.9)
    give_gradients(parameters, twins)
    ours.step()
    theirs.step()
    mine, other = ours.state_dict(), theirs.state_dict()
    assert {number: set(held) for number, held in mine["state"].items()} == {
        number: set(held) for number, held in other["state"].items()
    }
    assert set(mine["param_groups"][0]) <= set(other["param_groups"][0])
    assert mine["param_groups"][0]["params"] == other["param_groups"][0]["params"]


@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("non_contiguous", [False, True])
def test_lr_may_be_a_tensor_changed_in_place(momentum: float, non_contiguous: bool) -> None:
    parameters, twins = pair()
    if non_contiguous:
        parameters.append(Parameter(torch.randn(2, 3, dtype=torch.float64).T))
        twins.append(parameters[-1].value.clone())
    lr = torch.tensor(0.1, dtype=torch.float64)
    ours, theirs = SGD(parameters, lr, momentum), torch.optim.SGD(twins, 0.1, momentum)
    for value in (0.1, 0.02):
        lr.fill_(value)
        theirs.param_groups[0]["lr"] = value
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
        assert_same(parameters, twins)


def test_momentum_may_be_a_tensor() -> None:
    parameters, twins = pair()
    ours = SGD(parameters, 0.1, torch.tensor(0.9, dtype=torch.float64))
    theirs = torch.optim.SGD(twins, 0.1, 0.9)
    for _ in range(3):
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
        assert_same(parameters, twins)


def test_frozen_parameters_and_absent_gradients_are_passed_by() -> None:
    frozen, idle = Parameter(torch.ones(2), trainable=False), Parameter(torch.ones(2))
    frozen.grad = torch.ones(2)
    optimizer = SGD([frozen, idle], lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    for parameter in (frozen, idle):
        torch.testing.assert_close(parameter.value, torch.ones(2), rtol=0, atol=0)
    assert optimizer.state_dict()["state"] == {}


def test_gradients_are_not_written_into() -> None:
    parameters, twins = pair()
    optimizer = SGD(parameters, 0.1, 0.9, weight_decay=0.1, nesterov=True, maximize=True)
    for _ in range(2):
        give_gradients(parameters, twins)
        before = [parameter.grad.clone() for parameter in parameters]
        optimizer.step()
        for parameter, old in zip(parameters, before, strict=True):
            torch.testing.assert_close(parameter.grad, old, rtol=0, atol=0)


def test_velocity_is_no_alias_of_the_gradient() -> None:
    for value in (torch.zeros(2), torch.zeros(2, 2).T[:1].T):  # by the kernel, and by the formula
        parameter = Parameter(value)
        optimizer = SGD([parameter], lr=1.0, momentum=0.5)
        parameter.grad = torch.ones_like(value)
        optimizer.step()
        parameter.grad.fill_(100.0)
        torch.testing.assert_close(optimizer.state[parameter]["momentum_buffer"], torch.ones_like(value))


def test_state_made_under_inference_mode_can_be_used_after_it() -> None:
    parameters, twins = pair()
    ours, theirs = SGD(parameters, 0.1, momentum=0.9), torch.optim.SGD(twins, 0.1, momentum=0.9)
    with torch.inference_mode():
        give_gradients(parameters, [twin.clone() for twin in twins])
        ours.step()
    for parameter, twin in zip(parameters, twins, strict=True):
        assert not ours.state[parameter]["momentum_buffer"].is_inference()
        twin.grad = parameter.grad.clone()
    theirs.step()
    give_gradients(parameters, twins)
    ours.step()
    theirs.step()
    assert_same(parameters, twins)


def test_values_converted_and_rebound_after_the_optimizer_exists() -> None:
    parameters, twins = pair(torch.float32)
    ours, theirs = SGD(parameters, 0.1, momentum=0.9), torch.optim.SGD(twins, 0.1, momentum=0.9)
    give_gradients(parameters, twins)
    ours.step()
    theirs.step()
    state = theirs.state_dict()
    for parameter in parameters:
        parameter.value = parameter.value.double()
    twins = [parameter.value.clone() for parameter in parameters]
    theirs = torch.optim.SGD(twins, 0.1, momentum=0.9)
    theirs.load_state_dict(state)  # converts, as torch does
    for _ in range(2):
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
        assert_same(parameters, twins)
        assert ours.state[parameters[0]]["momentum_buffer"].dtype is torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(dtype: torch.dtype) -> None:
    parameters, twins = pair(dtype)
    ours, theirs = SGD(parameters, 0.1, momentum=0.9), torch.optim.SGD(twins, 0.1, momentum=0.9)
    for _ in range(3):
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
    for parameter, twin in zip(parameters, twins, strict=True):
        torch.testing.assert_close(parameter.value, twin, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("settings", [random_settings(seed) for seed in (1, 3, 5)], ids=str)
def test_compiled_step_equals_torch(settings: dict[str, float | bool]) -> None:
    parameters, twins = pair()
    lr = torch.tensor(settings["lr"], dtype=torch.float64)
    ours, theirs = SGD(parameters, **{**settings, "lr": lr}), torch.optim.SGD(twins, **settings)
    torch._dynamo.reset()
    step = torch.compile(ours.step, fullgraph=True, backend="eager")
    with torch.inference_mode():
        for _ in range(3):
            give_gradients(parameters, twins)
            step()
            theirs.step()
    assert_same(parameters, twins)


def test_a_value_rebound_to_another_layout_in_mid_run() -> None:
    parameters, twins = pair()
    ours, theirs = SGD(parameters, 0.1, momentum=0.9), torch.optim.SGD(twins, 0.1, momentum=0.9)
    for step in range(4):
        if step == 2:
            parameters[0].value = parameters[0].value.T.contiguous().T
            assert not parameters[0].value.is_contiguous()
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
        assert_same(parameters, twins)


def test_momentum_switched_on_in_mid_run() -> None:
    parameters, twins = pair()
    ours, theirs = SGD(parameters, 0.1), torch.optim.SGD(twins, 0.1)
    for step in range(4):
        ours.param_groups[0]["momentum"] = theirs.param_groups[0]["momentum"] = 0.9 * (step % 3 > 0)
        give_gradients(parameters, twins)
        ours.step()
        theirs.step()
        assert_same(parameters, twins)
