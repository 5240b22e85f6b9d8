"""A glance at a model sees every change that a closer look would see."""

import pytest
import torch

from mytorch.core import Parameter
from mytorch.nn import Dropout, Linear, MSELoss, Sequential
from mytorch.optim import SGD
from mytorch.train import step
from mytorch.train.compiled.carry import Carry
from mytorch.train.compiled.settled import Glance, settled, settled_settings


def _replace(net, _optimizer):
    net[0].weight.value = torch.zeros(3, 2, dtype=torch.float64)


def _freeze(net, _optimizer):
    net[0].weight.trainable = False


def _drop_more(net, _optimizer):
    net[1].p = 0.5


def _change_a_list(net, _optimizer):
    net[1].sizes[0] = 7


def _append(net, _optimizer):
    net.append(Linear(1, 1))


def _exchange(net, _optimizer):
    net[2] = Linear(3, 1)


def _evaluate(net, _optimizer):
    net.eval()


def _load(_net, optimizer):
    optimizer.state.clear()


def _wider_state(net, optimizer):
    optimizer.state[net[0].weight]["momentum_buffer"] = torch.zeros(3, 2, dtype=torch.float64)


def _another_group(_net, optimizer):
    optimizer.add_param_group({"params": [Parameter(torch.ones(1))]})


def _reshape(net, _optimizer):
    net[2].bias.value.resize_(2)


def _other_strides(net, _optimizer):
    net[0].weight.value.as_strided_((3, 2), (1, 3))


CHANGES = [_replace, _freeze, _drop_more, _change_a_list, _append, _exchange, _evaluate, _load, _wider_state]
CHANGES += [_another_group, _reshape, _other_strides]


def _trained():
    net, loss = Sequential(Linear(2, 3), Dropout(0.1), Linear(3, 1)), MSELoss()
    net[1].sizes, net[1].mask = [1, 2], torch.ones(3)
    optimizer = SGD(net.param(), lr=0.1, momentum=0.9)
    step(net, loss, optimizer, torch.randn(4, 2), torch.randn(4, 1))
    return net, loss, optimizer


@pytest.mark.numbers
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_at_a_glance(change):
    net, loss, optimizer = parts = _trained()
    glance, before = Glance(*parts, Carry(*parts)), settled(*parts)
    step(net, loss, optimizer, torch.randn(4, 2), torch.randn(4, 1))
    assert glance.unchanged()  # other values are no change
    assert settled(*parts) == before
    change(net, optimizer)
    assert settled(*parts) != before
    assert not glance.unchanged()


@pytest.mark.numbers
def test_a_parameter_that_takes_the_place_of_another_in_a_group_is_seen_at_a_glance():
    net, _, optimizer = parts = _trained()
    glance, before = Glance(*parts, Carry(*parts)), settled(*parts)
    optimizer.param_groups[0]["params"][0] = net[2].bias
    assert settled(*parts) != before
    assert not glance.unchanged()


@pytest.mark.numbers
@pytest.mark.parametrize(("setting", "value"), [("momentum", 0.5), ("nesterov", True), ("lr", torch.tensor(0.2))])
def test_a_changed_setting_is_seen_at_a_glance(setting, value):
    _, _, optimizer = parts = _trained()
    glance, before = Glance(*parts, Carry(*parts)), settled_settings(optimizer, ())
    assert glance.same_settings()
    optimizer.param_groups[0][setting] = value
    assert settled_settings(optimizer, ()) != before
    assert not glance.same_settings()
    assert glance.unchanged()  # apart from the settings


@pytest.mark.numbers
def test_a_tensor_that_was_replaced_calls_for_a_closer_look():
    net, *_ = parts = _trained()
    glance = Glance(*parts, Carry(*parts))
    net[1].mask = torch.zeros(3)
    assert not glance.unchanged()
    assert Glance(*parts, Carry(*parts)).unchanged()
