"""Comparing a module with its PyTorch twin: outputs, buffers, and every gradient, for random upstream gradients."""

from itertools import count

import torch
from layouts import transposed
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

TOLERANCE = {torch.float64: {"rtol": 1e-9, "atol": 1e-9}, torch.float32: {"rtol": 1e-4, "atol": 1e-5}}


def agrees_with_twin(
    ours, twin, *inputs, options=None, dtypes=(torch.float64, torch.float32), modes=(True, False), targets=0
):
    """Raise AssertionError unless both compute the same.

    inputs: given to both, tensors or tuples; floating-point ones are converted to each dtype and differentiated.
    options: keyword arguments of both forwards.
    targets: how many of the inputs are targets of a loss, the last ones.
    """
    for dtype in dtypes:
        ours.to(dtype), twin.to(dtype)
        share_random_state(ours, twin)
        for mode in modes:
            ours.train(mode), twin.train(mode)
            given = converted(inputs, dtype)
            theirs = twin_forward(twin, given, options or {}, targets)
            found = forward(ours, given, options or {})
            d_output = upstream(found[0])
            twin_backward(twin, theirs[0], d_output)
            require_agreement(ours, twin, theirs, found, d_output, TOLERANCE[dtype], targets)


def share_random_state(ours, twin):
    """Draw new weights and statistics for the twin and load them; names, shapes and order are the same in both.

    Matrices are of the size that keeps what they multiply of its size, so that no layer amplifies what is rounded.
    """
    names = [(name, value.shape) for name, value in twin.state_dict().items()]
    assert [(name, value.shape) for name, value in ours.state_dict().items()] == names
    parameters = dict(twin.named_parameters())
    with torch.no_grad():
        for name, value in twin.state_dict().items():
            if name in parameters or ("running" in name and value.is_floating_point()):
                scale = value[0].numel() ** -0.5 if value.dim() > 1 and value.numel() else 1.0
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else scale * torch.randn_like(value))
    ours.load_state_dict(twin.state_dict())
    twin.load_state_dict(ours.state_dict())


def converted(value, dtype):
    """The same inputs or options with floating-point tensors in the dtype."""
    if isinstance(value, dict):
        return {key: converted(entry, dtype) for key, entry in value.items()}
    return mapped(lambda leaf: leaf.to(dtype) if differentiable(leaf) else leaf, value)


def forward(ours, inputs, options):
    """Output and saved value, by the random numbers that the twin draws."""
    torch.manual_seed(1)
    return ours.forward(*inputs, **options)


def twin_forward(twin, inputs, options, targets=0):
    """The twin's output, and the inputs at which autograd leaves their gradients: all but the targets of a loss."""
    asked = len(inputs) - targets
    watched = *(mapped(_watched, value) for value in inputs[:asked]), *inputs[asked:]
    in_order = (watched[0], watched[2], watched[1]) if isinstance(twin, torch.nn.GaussianNLLLoss) else watched
    torch.manual_seed(1)
    return twin(*in_order, **options), watched


def upstream(output, form=transposed, unused=()):
    """A random gradient of each output: None for integers and for those that are not used, said by their numbers.

    form: as of autograd, a gradient need not be contiguous
    """
    numbers = count()

    def one(value):
        if isinstance(value, tuple) and not isinstance(value, PackedSequence):
            return tuple(map(one, value))
        unasked = next(numbers) in unused or not differentiable(leaves(value)[0])
        return None if unasked else mapped(lambda leaf: form(torch.randn_like(leaf)), value)

    return one(output)


def twin_backward(twin, output, d_output):
    """Leave the gradients at the twin's inputs and parameters.

    Upstream ones are copied to be contiguous: some of torch's kernels read others wrongly.
    """
    twin.zero_grad()
    pairs = [
        (value, d_value.contiguous())
        for value, d_value in zip(leaves(output), leaves(d_output), strict=True)
        if d_value is not None and value.requires_grad
    ]
    if pairs:
        torch.autograd.backward(*zip(*pairs, strict=True))


def require_agreement(ours, twin, theirs, found, d_output, tolerance, targets=0):
    """Raise AssertionError unless outputs, gradients and state are the same; the twin has gone back already.

    theirs, found: what twin_forward and forward returned
    targets:       how many of the inputs are targets of a loss, the last ones, for which it has no gradient
    """

    def close(actual, wanted, what):
        torch.testing.assert_close(
            actual, wanted, equal_nan=True, msg=lambda text: f"{what} of {ours!r}: {text}", **tolerance
        )

    (expected, watched), (output, saved) = theirs, found
    close(leaves(output), [leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves(expected)], "output")
    ours.zero_grad()
    d_inputs = ours.backward(d_output, saved)
    asked = watched[: len(watched) - targets]
    for number, (value, d_input) in enumerate(zip(asked, d_inputs if len(asked) > 1 else (d_inputs,), strict=True)):
        for leaf, d_leaf in zip(leaves(value), leaves(d_input), strict=True):
            if not differentiable(leaf):
                assert d_leaf is None
                continue
            close(d_leaf, torch.zeros_like(leaf) if leaf.grad is None else leaf.grad, f"gradient of input {number}")
    for (name, parameter), (_, its) in zip(ours.named_param(), twin.named_parameters(), strict=True):
        if its.grad is None:
            assert parameter.grad is None or not parameter.grad.any(), f"gradient of {name} of {ours!r}"
        else:
            close(parameter.grad, its.grad, f"gradient of {name}")
    for name, value in twin.state_dict().items():
        close(ours.state_dict()[name], value, name)


def differentiable(value):
    return isinstance(value, Tensor) and value.is_floating_point()


def _watched(leaf):
    return leaf.detach().requires_grad_() if differentiable(leaf) else leaf


def mapped(function, value):
    """The same nesting of tuples with each leaf replaced; of packed sequences the data are."""
    if isinstance(value, PackedSequence):
        return PackedSequence(function(value.data), *value[1:])
    return tuple(mapped(function, entry) for entry in value) if isinstance(value, tuple) else function(value)


def leaves(value):
    if isinstance(value, PackedSequence):
        return [value.data]
    return [leaf for entry in value for leaf in leaves(entry)] if isinstance(value, tuple) else [value]
