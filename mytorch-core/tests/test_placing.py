"""Where the tensors of modules and optimizers lie."""

import pytest
import torch
from running_mean import Mean, with_gradient

from mytorch.core import Buffer, Parameter, persistent, placing


def test_new_parameters_buffers_and_state_lie_where_they_are_placed() -> None:
    seen: list[torch.Tensor] = []

    def place(value: torch.Tensor) -> torch.Tensor:
        assert not torch.is_inference_mode_enabled()
        seen.append(value.clone())
        return seen[-1]

    value = torch.randn(3)
    with torch.inference_mode(), placing(place):
        parameter, buffer, copy = Parameter(value), Buffer(value), persistent(value)
        made_inside = Parameter(torch.ones(2))
    assert [parameter.value, buffer.value, copy, made_inside.value] == seen[:4]
    assert all(torch.equal(one, value) for one in seen[:3])
    assert not made_inside.value.is_inference()
    assert Parameter(value).value.data_ptr() == value.data_ptr()  # outside of it, as ever


def test_a_copy_is_one_also_where_a_tensor_stays() -> None:
    value = torch.randn(3)
    with placing(lambda one: one):
        copy = persistent(value)
        assert copy.data_ptr() != value.data_ptr()
        assert Parameter(value).value.data_ptr() == value.data_ptr()


def test_an_optimizer_begins_and_loads_its_state_there() -> None:
    placed: list[int] = []

    def place(value: torch.Tensor) -> torch.Tensor:
        copy = value.clone()
        placed.append(copy.data_ptr())
        return copy

    (parameter,) = with_gradient(3)
    optimizer = Mean([parameter])
    with placing(place):
        optimizer.step()
        assert optimizer.state[parameter]["mean"].data_ptr() in placed
        optimizer.load_state_dict(optimizer.state_dict())
        assert optimizer.state[parameter]["mean"].data_ptr() == placed[-1]


def test_after_an_error_nothing_is_placed() -> None:
    def place(value: torch.Tensor) -> torch.Tensor:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), placing(place):
        Parameter(torch.ones(1))
    assert Parameter(torch.ones(1)).value == 1
