"""Comparing a layer with its PyTorch twin: outputs, buffers, and every gradient, for random upstream gradients."""

import torch
from torch import Tensor

TOLERANCE = {torch.float64: {"rtol": 1e-9, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def agrees_with_twin(ours, twin, *inputs, options=None, dtypes=(torch.float64, torch.float32), modes=(True, False)):
    """Raise AssertionError unless both compute the same.

    inputs: given to both; floating-point ones are converted to each dtype and differentiated.
    options: keyword arguments of both forwards.
    """
    for dtype in dtypes:
        ours.to(dtype), twin.to(dtype)
        share_random_state(ours, twin)
        for mode in modes:
            ours.train(mode), twin.train(mode)
            _compare(ours, twin, [_converted(value, dtype) for value in inputs], options or {}, TOLERANCE[dtype])


def share_random_state(ours, twin):
    """Draw new weights for the twin and load them; names, shapes and order must be the same in both directions."""
    names = [(name, value.shape) for name, value in twin.state_dict().items()]
    assert [(name, value.shape) for name, value in ours.state_dict().items()] == names
    with torch.no_grad():
        for name, value in twin.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value))
    ours.load_state_dict(twin.state_dict())
    twin.load_state_dict(ours.state_dict())


def _converted(value, dtype):
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _compare(ours, twin, inputs, options, tolerance):
    def close(actual, expected, what):
        torch.testing.assert_close(
            actual, expected, equal_nan=True, msg=lambda text: f"{what} of {ours!r}: {text}", **tolerance
        )

    ours.zero_grad(), twin.zero_grad()
    theirs = [value.detach().requires_grad_() if _differentiable(value) else value for value in inputs]
    torch.manual_seed(1)
    expected = twin(*theirs, **options)
    torch.manual_seed(1)
    output, saved = ours.forward(*inputs, **options)
    close(output, _detached(expected), "output")
    d_output = _upstream(output)
    _backward(expected, d_output)
    d_inputs = ours.backward(d_output, saved)
    for number, (value, d_input) in enumerate(
        zip(theirs, d_inputs if isinstance(d_inputs, tuple) else (d_inputs,), strict=True)
    ):
        if not _differentiable(value):
            assert d_input is None
            continue
        close(d_input, torch.zeros_like(value) if value.grad is None else value.grad, f"gradient of input {number}")
    for (name, parameter), (_, its) in zip(ours.named_param(), twin.named_parameters(), strict=True):
        close(parameter.grad, its.grad, f"gradient of {name}")
    for name, value in twin.state_dict().items():
        close(ours.state_dict()[name], value, name)


def _differentiable(value):
    return isinstance(value, Tensor) and value.is_floating_point()


def _detached(value):
    if isinstance(value, tuple):
        return tuple(map(_detached, value))
    return None if value is None else value.detach()


def _upstream(output):
    """A random gradient of each output, None for integers; as autograd's, it need not be contiguous."""
    if isinstance(output, tuple):
        return tuple(map(_upstream, output))
    if not _differentiable(output):
        return None
    return torch.randn_like(output) if output.dim() < 2 else torch.randn_like(output.mT.contiguous()).mT


def _backward(expected, d_output):
    if not isinstance(expected, tuple):
        expected.backward(d_output)
        return
    pairs = [pair for pair in zip(expected, d_output, strict=True) if pair[1] is not None]
    torch.autograd.backward([value for value, _ in pairs], [d_value for _, d_value in pairs])
