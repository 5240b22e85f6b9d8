"""Comparing a module with its PyTorch twin, and a world in which autograd raises."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "toys"))
from agreement import agrees_with_twin

TOLERANCE = {torch.float64: {"rtol": 1e-12, "atol": 1e-12}, torch.float32: {}}


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def close(dtype):
    """Compare to 1e-12 in float64 and to torch's default tolerances in float32; NaN (a mean of nothing) is a value."""

    def compare(actual, expected):
        torch.testing.assert_close(actual, expected, equal_nan=True, **TOLERANCE[dtype])

    return compare


@pytest.fixture
def exchange(dtype):
    """Give both modules the same random state, and show that it travels in both directions."""

    def run(ours, twin):
        ours.to(dtype), twin.to(dtype)
        assert [(n, v.shape) for n, v in ours.state_dict().items()] == [
            (n, v.shape) for n, v in twin.state_dict().items()
        ]
        with torch.no_grad():
            for name, value in twin.state_dict().items():
                if value.is_floating_point():
                    value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value))
        ours.load_state_dict(twin.state_dict())
        twin.load_state_dict(ours.state_dict())
        for name, value in twin.state_dict().items():
            assert torch.equal(value, ours.state_dict()[name]), name

    return run


@pytest.fixture
def compare_layer(dtype, close, exchange):
    """Output, input gradient, parameter gradients and buffers of a layer and its twin on one random batch."""

    def run(ours, twin, x, modes=(True, False)):
        exchange(ours, twin)
        for training in modes:
            ours.train(training), twin.train(training)
            ours.zero_grad(), twin.zero_grad()
            inputs = x.to(dtype)
            theirs = inputs.detach().requires_grad_()
            torch.manual_seed(1)
            expected = twin(theirs)
            torch.manual_seed(1)
            output, saved = ours.forward(inputs.detach())
            close(output, expected.detach())
            d_output = torch.randn_like(output)
            expected.backward(d_output)
            d_input = ours.backward(d_output, saved)
            close(d_input, theirs.grad)
            for (name, parameter), (twin_name, theirs) in zip(
                ours.named_param(), twin.named_parameters(), strict=True
            ):
                assert name == twin_name
                close(parameter.grad, theirs.grad)
            for name, value in twin.state_dict().items():
                close(ours.state_dict()[name], value)

    return run


@pytest.fixture
def compare_loss(dtype, close):
    """Value and gradient of a loss and its twin, for a random upstream gradient."""

    def run(ours, twin, prediction, target):
        ours.to(dtype), twin.to(dtype)
        prediction = prediction.to(dtype)
        target = target.to(dtype) if target.is_floating_point() else target
        theirs = prediction.detach().requires_grad_()
        expected = twin(theirs, target)
        value, saved = ours.forward(prediction.detach(), target)
        close(value, expected.detach())
        d_value = torch.randn_like(value)
        expected.backward(d_value)
        close(ours.backward(d_value, saved), theirs.grad)
        if value.dim() == 0:
            _, saved = ours.forward(prediction.detach(), target)
            close(ours.backward(d_value.item(), saved), theirs.grad)

    return run


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
