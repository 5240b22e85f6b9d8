"""Comparing a module with its PyTorch twin, and a world in which autograd raises."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "toys"))
from agreement import agrees_with_twin


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def no_autograd(monkeypatch):
    """Every way into autograd raises."""

    def refuse(*args, **kwargs):
        raise AssertionError("autograd must not be used")

    monkeypatch.setattr(torch.Tensor, "backward", refuse)
    monkeypatch.setattr(torch.Tensor, "requires_grad_", refuse)
    for name in ("backward", "grad"):
        monkeypatch.setattr(torch.autograd, name, refuse)
    monkeypatch.setattr(torch.autograd.Function, "apply", refuse)


@pytest.fixture(scope="session")
def agree():
    """That a layer agrees with its PyTorch twin in every number, in float64 and in float32, from random weights."""
    return agrees_with_twin
