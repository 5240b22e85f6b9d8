"""Comparing a layer with its PyTorch twin: outputs, buffers, and every gradient, for random upstream gradients."""

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

TOLERANCE = {torch.float64: {"rtol": 1e-9, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def agrees_with_twin(ours, twin, *inputs, options=None, dtypes=(torch.float64, torch.float32), modes=(True, False)):
    """Raise AssertionError unless both compute the same.

    inputs: given to both, tensors or tuples; floating-point ones are converted to each dtype and differentiated.
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
    return _mapped(lambda leaf: leaf.to(dtype) if _differentiable(leaf) else leaf, value)


def _compare(ours, twin, inputs, options, tolerance):
    def close(actual, expected, what):
        torch.testing.assert_close(
            actual, expected, equal_nan=True, msg=lambda text: f"{what} of {ours!r}: {text}", **tolerance
        )

    ours.zero_grad(), twin.zero_grad()
    theirs = [_mapped(_watched, value) for value in inputs]
    torch.manual_seed(1)
    expected = twin(*theirs, **options)
    torch.manual_seed(1)
    output, saved = ours.forward(*inputs, **options)
    close(_leaves(output), [None if leaf is None else leaf.detach() for leaf in _leaves(expected)], "output")
    d_output = _mapped(_upstream, output)
    _backward(_leaves(expected), _leaves(d_output))
    d_inputs = ours.backward(d_output, saved)
    for number, (value, d_input) in enumerate(zip(theirs, d_inputs if len(inputs) > 1 else (d_inputs,), strict=True)):
        for leaf, d_leaf in zip(_leaves(value), _leaves(d_input), strict=True):
            if not _differentiable(leaf):
                assert d_leaf is None
                continue
            close(d_leaf, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, f"gradient of input {number}")
    for (name, parameter), (_, its) in zip(ours.named_param(), twin.named_parameters(), strict=True):
        close(parameter.grad, its.grad, f"gradient of {name}")
    for name, value in twin.state_dict().items():
        close(ours.state_dict()[name], value, name)


def _differentiable(value):
    return isinstance(value, Tensor) and value.is_floating_point()


def _watched(leaf):
    return leaf.detach().requires_grad_() if _differentiable(leaf) else leaf


def _mapped(function, value):
    """The same nesting of tuples with each leaf replaced; of packed sequences the data are."""
    if isinstance(value, PackedSequence):
        return PackedSequence(function(value.data), *value[1:])
    return tuple(_mapped(function, entry) for entry in value) if isinstance(value, tuple) else function(value)


def _leaves(value):
    if isinstance(value, PackedSequence):
        return [value.data]
    return [leaf for entry in value for leaf in _leaves(entry)] if isinstance(value, tuple) else [value]


def _upstream(output):
    """A random gradient of an output, None for integers; as autograd's, it need not be contiguous."""
    if not _differentiable(output):
        return None
    return torch.randn_like(output) if output.dim() < 2 else torch.randn_like(output.mT.contiguous()).mT


def _backward(outputs, d_outputs):
    pairs = [pair for pair in zip(outputs, d_outputs, strict=True) if pair[1] is not None]
    torch.autograd.backward([value for value, _ in pairs], [d_value for _, d_value in pairs])
