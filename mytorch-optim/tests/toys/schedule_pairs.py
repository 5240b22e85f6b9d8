"""Optimizers of mytorch and of torch in pairs, and how to build a schedule for either."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import mytorch.optim as ours
from mytorch.core import Optimizer, Parameter

Make = Callable[[Any, Any], Any]


def optimizers(count: int = 2, momentum: float = 0.9) -> tuple[ours.SGD, torch.optim.SGD]:
    """Groups with learning rates of their own: 0.1, 0.3, ..."""
    values = [torch.ones(2) for _ in range(count)]
    parameters = [{"params": [Parameter(value)], "lr": 0.1 + 0.2 * i} for i, value in enumerate(values)]
    twins = [{"params": [value.clone()], "lr": 0.1 + 0.2 * i} for i, value in enumerate(values)]
    return ours.SGD(parameters, 1.0, momentum), torch.optim.SGD(twins, 1.0, momentum)


def assert_same_settings(mine: Optimizer, other: torch.optim.Optimizer) -> None:
    for group, twin in zip(mine.param_groups, other.param_groups, strict=True):
        for name in ("lr", "momentum"):
            assert float(group[name]) == pytest.approx(float(twin[name]), rel=1e-12, abs=1e-15)


def swalr(kind: Any, optimizer: Any, *arguments: Any) -> Any:
    cls = kind.SWALR if kind is ours else torch.optim.swa_utils.SWALR
    return cls(optimizer, *arguments)


MAKERS: dict[str, Make] = {
    "ConstantLR": lambda kind, optimizer: kind.ConstantLR(optimizer, 0.5, 4),
    "LinearLR": lambda kind, optimizer: kind.LinearLR(optimizer, 0.1, 1.0, 7),
    "ExponentialLR": lambda kind, optimizer: kind.ExponentialLR(optimizer, 0.8),
    "MultiStepLR": lambda kind, optimizer: kind.MultiStepLR(optimizer, [2, 6], 0.5),
    "StepLR": lambda kind, optimizer: kind.StepLR(optimizer, 3),
    "CosineAnnealingLR": lambda kind, optimizer: kind.CosineAnnealingLR(optimizer, 10),
    "OneCycleLR": lambda kind, optimizer: kind.OneCycleLR(optimizer, 0.3, 12),
    "PolynomialLR": lambda kind, optimizer: kind.PolynomialLR(optimizer, 8, 2.0),
    "CosineAnnealingWarmRestarts": lambda kind, optimizer: kind.CosineAnnealingWarmRestarts(optimizer, 3, 2),
    "LambdaLR": lambda kind, optimizer: kind.LambdaLR(optimizer, lambda step: 0.9**step),
    "MultiplicativeLR": lambda kind, optimizer: kind.MultiplicativeLR(optimizer, lambda step: 0.9 + 0.01 * step),
    "CyclicLR": lambda kind, optimizer: kind.CyclicLR(optimizer, 0.05, 0.3, 4, mode="triangular2"),
    "SWALR": lambda kind, optimizer: swalr(kind, optimizer, 0.05, 7),
}
