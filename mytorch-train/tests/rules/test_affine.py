"""The maps that rules train by themselves: their gradient by autograd, and states that do not fit."""

import pytest
import torch
from by_hand import prepared, stepped, three_layers
from toy_parts import Chain, Dense, SquaredError

from mytorch.core import StateError
from mytorch.train.rules import LocalLosses, SyntheticGradients, TargetPropagation
from mytorch.train.rules.affine import Affine

pytestmark = pytest.mark.numbers


def test_a_map_goes_back_and_learns_along_its_gradient():
    torch.manual_seed(1)
    x, d_y = torch.randn(6, 4).double(), torch.randn(6, 3).double()
    each = Affine.drawn(4, 3, x, torch.Generator().manual_seed(2))
    kept = each.state_dict()
    before = {name: value.clone() for name, value in kept.items()}
    d_weight = sum(torch.outer(d, row) for d, row in zip(d_y, x, strict=True))
    torch.testing.assert_close(each(x), torch.stack([before["weight"] @ row for row in x]))
    torch.testing.assert_close(each.back(d_y), torch.stack([before["weight"].T @ d for d in d_y]))
    each.learn(x, d_y, 0.1)
    torch.testing.assert_close(each.weight, before["weight"] - 0.1 * d_weight)
    torch.testing.assert_close(each.bias, -0.1 * d_y.sum(0))
    torch.testing.assert_close(kept, before, rtol=0, atol=0)  # a state that was taken stays


@pytest.mark.parametrize(
    ("kind", "key"), [(LocalLosses, "heads"), (SyntheticGradients, "models"), (TargetPropagation, "decoders")]
)
def test_states_of_other_nets_are_refused(kind, key):
    net, x, t, _ = three_layers()
    rule = prepared(kind(), net)
    stepped(rule, net, x, t)
    state, name = rule.state_dict(), kind.__name__
    with pytest.raises(StateError, match=f"{name}: {key} must be one for each of . hidden blocks, got 3; load the"):
        rule.load_state_dict({**state, key: 3 * state[key][:1]})
    torch.testing.assert_close(rule.state_dict(), state, rtol=0, atol=0)
    wider = Chain(Dense(3, 6), *net.layers[1:2], Dense(6, 5), *net.layers[3:4], Dense(5, 2)).double()
    other = prepared(kind(), wider)
    other.load_state_dict(state)
    with pytest.raises(
        StateError,
        match=rf"{name}: {key} must map as many numbers as .* got \[.*\]; give every batch rows of the same",
    ):
        other.gradients(wider, SquaredError(), x, t)
    assert all(held.grad is None for held in wider.param())
