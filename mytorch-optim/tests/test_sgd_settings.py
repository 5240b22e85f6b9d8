"""What SGD accepts."""

import pytest
import torch

from mytorch.core import ArgumentError, Optimizer, Parameter
from mytorch.optim import SGD


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -0.1}, "SGD: lr must be at least 0, got -0.1"),
        ({"lr": float("nan")}, "SGD: lr must be at least 0, got nan"),
        ({"lr": float("inf")}, "SGD: lr must be finite, got inf"),
        ({"lr": torch.tensor(float("inf"))}, "SGD: lr must be finite, got inf"),
        ({"lr": True}, "SGD: lr must be a number, got True"),
        ({"lr": "fast"}, "SGD: lr must be a number, got 'fast'"),
        ({"lr": None}, "SGD: lr must be a number, got None"),
        ({"lr": torch.tensor(1j)}, r"SGD: lr must be one number, got a tensor of \(\)"),
        ({"momentum": float("nan")}, "SGD: momentum must be at least 0, got nan"),
        ({"momentum": False}, "SGD: momentum must be a number, got False"),
        ({"dampening": float("inf")}, "SGD: dampening must be finite, got inf"),
        ({"weight_decay": [0.1]}, r"SGD: weight_decay must be a number, got \[0.1\]"),
        ({"lr": torch.ones(2)}, r"SGD: lr must be one number, got a tensor of \(2,\)"),
        ({"momentum": -1.0}, "SGD: momentum must be at least 0, got -1.0"),
        ({"weight_decay": -1.0}, "SGD: weight_decay must be at least 0, got -1.0"),
        ({"nesterov": 1, "momentum": 0.9}, "SGD: nesterov must be True or False, got 1"),
        ({"maximize": "yes"}, "SGD: maximize must be True or False, got 'yes'"),
        ({"nesterov": True}, "SGD: nesterov must come with momentum above 0 and dampening 0, got momentum=0"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "SGD: nesterov must come with .* dampening=0.1"),
    ],
)
def test_settings_outside_their_range_raise(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SGD([Parameter(torch.ones(2))], **settings)


def test_is_an_optimizer_of_the_contract() -> None:
    optimizer = SGD([Parameter(torch.ones(2))], lr=0.5)
    assert isinstance(optimizer, Optimizer)
    assert repr(optimizer).startswith("SGD(lr=0.5, momentum=0")
