"""Checkpoint: numbers that are those of what it holds, to the bit, from less memory."""

import gc
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from mytorch.core import ArgumentError, ContractError, Module, ShapeError, StateError, add_path
from mytorch.nn import (
    BatchNorm1d,
    Checkpoint,
    Dropout,
    LazyLinear,
    Linear,
    MSELoss,
    Parallel,
    ReLU,
    Residual,
    RReLU,
    Sequential,
    Tanh,
)
from mytorch.testing import declare_layer


def block(generator=None):
    return Sequential(
        Linear(3, 8),
        BatchNorm1d(8),
        Dropout(0.4),
        RReLU(),
        Residual(Sequential(Linear(8, 8), Dropout(0.3, generator=generator))),
        BatchNorm1d(8, momentum=None),
        Linear(8, 3),
    )


def run(net, inputs, d_outputs, modes):
    """Outputs, gradients, buffers and what the streams give next, with all forwards before all backwards."""
    flights = [net.train(mode).forward(x) for x, mode in zip(inputs, modes, strict=True)]
    net.eval()
    found = [output.clone() for output, _ in flights] + [torch.rand(3)]
    for (_, saved), d_output in reversed(list(zip(flights, d_outputs, strict=True))):
        found.append(net.backward(d_output, saved))
    found += [parameter.grad for parameter in net.param()]
    found += [buffer.value.clone() for _, buffer in net.named_buffer()]
    return [*found, torch.rand(3)]


@given(
    modes=st.lists(st.booleans(), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    own_stream=st.booleans(),
)
def test_the_same_to_the_bit_with_several_forwards_in_flight(modes, seed, dtype, own_stream):
    results = []
    for wrap in (lambda inner: inner, Checkpoint, lambda inner: Checkpoint(Checkpoint(inner))):
        torch.manual_seed(seed)
        net = wrap(block(torch.Generator().manual_seed(seed) if own_stream else None)).to(dtype)
        inputs = [torch.randn(4, 3).to(dtype) for _ in modes]
        d_outputs = [torch.randn(4, 3).to(dtype) for _ in modes]
        results.append(run(net, inputs, d_outputs, modes))
    for other in results[1:]:
        for expected, actual in zip(results[0], other, strict=True):
            assert torch.equal(expected, actual)


test_checkpoint = declare_layer(lambda: Checkpoint(Sequential(Linear(3, 4), Tanh(), Linear(4, 2))), (5, 3))
test_checkpoint_of_a_random_block = declare_layer(
    lambda: Checkpoint(block()), (5, 3), tags=("mixes_batch", "fixed_dimensions")
)
test_checkpoint_of_several_outputs = declare_layer(lambda: Checkpoint(Parallel(Linear(3, 4), ReLU())), (5, 3))
test_checkpoint_of_a_lazy_layer = declare_layer(
    lambda: Checkpoint(Sequential(LazyLinear(4), Dropout(0.5))), (5, 3), tags=("lazy",)
)


def test_a_lazy_layer_inside_gets_its_weights_without_a_second_draw():
    results = []
    for wrap in (lambda inner: inner, Checkpoint):
        torch.manual_seed(3)
        net = wrap(Sequential(LazyLinear(8), Dropout(0.5), LazyLinear(2)))
        for _ in range(2):
            y, saved = net.forward(torch.ones(5, 3))
            net.backward(torch.ones_like(y), saved)
        results.append([y, *(parameter.grad for parameter in net.param())])
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


class Made(TorchDispatchMode):
    """Knows the memory of every tensor that an operation makes, and holds none of it."""

    def __init__(self):
        super().__init__()
        self.made = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple) else (result,):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                self.made[StorageWeakRef(storage)] = storage.nbytes()
        return result


def kept_bytes(net, x):
    """The memory that a forward made and keeps alive."""
    with Made() as watch:
        flight = net.forward(x)
    gc.collect()
    kept = {reference.cdata: size for reference, size in watch.made.items() if not reference.expired()}
    del flight
    return sum(kept.values())


def test_between_the_passes_it_keeps_little_more_than_the_input():
    x = torch.randn(1000, 64)
    layers = [layer for _ in range(6) for layer in (Linear(64, 64), Tanh())]
    one = x.numel() * 4
    assert kept_bytes(Sequential(*layers), x) >= 6 * one
    assert kept_bytes(Checkpoint(Sequential(*layers)), x) < 2 * one  # the output, and views of the weights


def test_input_grad_reaches_the_inner_layer():
    layer = Checkpoint(Linear(3, 3))
    layer.input_grad = False
    assert not layer.inner.input_grad
    y, saved = layer.forward(torch.randn(5, 3))
    assert layer.backward(y, saved) is None
    assert layer.inner.weight.grad is not None


def test_under_inference_mode_and_as_one_graph():
    x, ends = torch.randn(6, 3), []

    def step(net, loss, x):
        y, saved = net.forward(x)
        value, kept = loss.forward(y, x)
        net.backward(loss.backward(1.0, kept), saved)
        return value

    for take in (step, torch.compile(step, fullgraph=True, backend="eager")):
        torch.manual_seed(1)
        with torch.inference_mode():
            net, loss = Checkpoint(block()), MSELoss()
            ends.append([take(net, loss, x), *(parameter.grad for parameter in net.param())])
    torch.testing.assert_close(*ends)


def test_after_an_error_in_the_second_forward_everything_is_as_before():
    class Once(Module):
        """Raises at its second forward."""

        calls = [0]  # noqa: RUF012

        def forward(self, x):
            self.calls[0] += 1
            if self.calls[0] > 1:
                raise RuntimeError("no more")
            return x, None

    net = Checkpoint(Sequential(BatchNorm1d(3), Dropout(0.5), Once()))
    y, saved = net.forward(torch.randn(5, 3))
    net.eval()
    state, random = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no more"):
        net.backward(y, saved)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in net.modules())


def test_bad_use():
    with pytest.raises(ArgumentError, match="Checkpoint: child must be a Module, got the class Tanh"):
        Checkpoint(Tanh)
    net, x = Checkpoint(Sequential(Linear(3, 3), Tanh())), torch.randn(5, 3)
    for saved in (None, x, (x, x)):
        with pytest.raises(ArgumentError, match="Checkpoint: saved must be what its own forward returned, got"):
            net.backward(x, saved)
    y, saved = net.forward(x)
    with pytest.raises(ShapeError, match=r"Tanh: d_y must have the shape of the output"):
        net.backward(y[:1], saved)
    net.inner.append(Tanh())
    with pytest.raises(StateError, match="Checkpoint: inner must hold the modules that it held in the forward"):
        net.backward(y, saved)

    class NoPair(Module):
        forward = staticmethod(lambda x: x[:2])

    for use in (Checkpoint(NoPair()).forward, Checkpoint(NoPair())):
        with pytest.raises(ContractError, match="NoPair: forward must return a pair"):
            use(x)


@pytest.mark.parametrize("use", ["forward", "backward", "__call__"])
def test_an_error_names_the_path_to_the_layer(use):
    net = Sequential(Linear(3, 3), Checkpoint(Sequential(Linear(3, 4), Tanh())))
    if use == "backward":
        y, saved = net.forward(torch.randn(5, 3))
        call = partial(net.backward, y[:1], saved)
    else:
        net[1].inner[0] = Linear(5, 4)
        call = partial(getattr(net, use), torch.randn(5, 3))
    with pytest.raises(ShapeError) as caught:
        call()
    add_path(caught.value, net)
    layer = "'1.inner.1' (Tanh)" if use == "backward" else "'1.inner.0' (Linear)"
    assert caught.value.__notes__ == [f"in layer {layer} of Sequential"]
