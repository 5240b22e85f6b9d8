"""Reversible blocks: inputs that follow from outputs, gradients that are those of the formula."""

import copy

import pytest
import torch

from mytorch.core import ArgumentError, ShapeError, StateError
from mytorch.nn import (
    BatchNorm1d,
    Conv2d,
    Dropout,
    LazyLinear,
    Linear,
    MSELoss,
    ReLU,
    Reversible,
    ReversibleSequence,
    Sequential,
    Tanh,
)
from mytorch.testing import declare_layer

pytestmark = pytest.mark.numbers


def branch(width=3):
    return Sequential(Linear(width, 5), Tanh(), Linear(5, width))


def random_branch(generator=None):
    return Sequential(Linear(3, 8), BatchNorm1d(8), Dropout(0.4, generator=generator), Linear(8, 3))


def twin(blocks):
    """The formula in torch, over the same weights as leaves."""
    leaves = {name: value.clone().requires_grad_() for name, value in blocks.state_dict().items()}

    def linear(x, name):
        return torch.nn.functional.linear(x, leaves[f"{name}.weight"], leaves[f"{name}.bias"])

    def half(x, name):
        return linear(torch.tanh(linear(x, f"{name}.0")), f"{name}.2")

    def forward(x):
        for number in range(len(blocks)):
            x1, x2 = x.chunk(2, 1)
            y1 = x1 + half(x2, f"{number}.f")
            x = torch.cat([y1, x2 + half(y1, f"{number}.g")], 1)
        return x

    return leaves, forward


test_reversible = declare_layer(lambda: Reversible(branch(), Linear(3, 3)), (5, 6), tags=("fixed_dimensions",))
test_reversible_along_another_axis = declare_layer(lambda: Reversible(branch(), Tanh(), dim=-1), (2, 4, 6))
test_reversible_of_images = declare_layer(
    lambda: Reversible(Conv2d(2, 2, 3, padding=1), ReLU()), (2, 4, 3, 3), tags=("fixed_dimensions",)
)
test_reversible_of_random_layers = declare_layer(
    lambda: Reversible(random_branch(), Dropout(0.5)), (5, 6), tags=("mixes_batch", "fixed_dimensions")
)
test_reversible_of_a_lazy_layer = declare_layer(
    lambda: Reversible(LazyLinear(3), Tanh()), (5, 6), tags=("lazy", "fixed_dimensions")
)
test_a_sequence = declare_layer(
    lambda: ReversibleSequence(*(Reversible(branch(), Linear(3, 3)) for _ in range(3))),
    (5, 6),
    tags=("fixed_dimensions",),
)


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_gradients_are_those_of_autograd(depth):
    torch.manual_seed(depth)
    net = ReversibleSequence(*(Reversible(branch(), branch()) for _ in range(depth))).to(torch.float64)
    leaves, forward = twin(net)
    x, d_y = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    y, saved = net.forward(x)
    d_x = net.backward(d_y, saved)
    x_leaf = x.clone().requires_grad_()
    expected = forward(x_leaf)
    expected.backward(d_y)
    torch.testing.assert_close(y, expected.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(d_x, x_leaf.grad, rtol=1e-10, atol=1e-10)
    for name, parameter in net.named_param():
        torch.testing.assert_close(parameter.grad, leaves[name].grad, rtol=1e-10, atol=1e-10)


def test_a_block_alone_is_a_sequence_of_one():
    block = Reversible(branch(), branch())
    x, d_y = torch.randn(5, 6), torch.randn(5, 6)
    results = []
    for net in (block, ReversibleSequence(block), Sequential(block)):
        net.zero_grad()
        y, saved = net.forward(x)
        results.append([y, net(x), net.backward(d_y, saved), *(parameter.grad for parameter in net.param())])
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


@pytest.mark.parametrize("own_stream", [False, True])
def test_random_layers_and_running_statistics_count_each_batch_once(own_stream):
    """Beside the same blocks as Sequential of Reversible, whose inputs are computed from each block's own output."""

    def run(container):
        torch.manual_seed(0)
        streams = [torch.Generator().manual_seed(seed) if own_stream else None for seed in range(3)]
        net = container(*(Reversible(random_branch(stream), Dropout(0.3)) for stream in streams)).to(torch.float64)
        x, d_y = torch.randn(2, 6, 6, dtype=torch.float64)
        first, saved = net.forward(x)
        second, saved_too = net.eval().forward(2 * x)
        next_draw = torch.rand(3)
        net.train()
        d = [net.backward(d_y, saved_too), net.backward(d_y, saved)]
        buffers = [buffer.value.clone() for _, buffer in net.named_buffer()]
        found = [first, second, next_draw, *d, *(parameter.grad for parameter in net.param()), *buffers, torch.rand(3)]
        counts = [value for name, value in net.state_dict().items() if name.endswith("num_batches_tracked")]
        assert counts == [torch.tensor(1)] * 3
        return found

    for expected, actual in zip(run(Sequential), run(ReversibleSequence), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def held(saved):
    """The bytes of tensors that a saved value holds."""
    return saved.y.nbytes + sum(
        value.nbytes for pair in saved.moments for moment in pair for value in moment.buffers.values()
    )


def test_memory_is_constant_in_depth():
    x = torch.randn(100, 6)
    sizes = []
    for depth in (1, 30):
        _, saved = ReversibleSequence(*(Reversible(branch(), branch()) for _ in range(depth))).forward(x)
        assert all(moment.random is None for pair in saved.moments for moment in pair)  # nothing was drawn
        sizes.append(held(saved))
    assert sizes == [x.nbytes, x.nbytes]


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_rounding_stays_small_through_a_hundred_blocks(dtype, bound):
    torch.manual_seed(0)
    net = ReversibleSequence(*(Reversible(branch(16), branch(16)) for _ in range(100))).to(dtype)
    exact = copy.deepcopy(net)
    x, d_y = torch.randn(20, 32, dtype=dtype), torch.randn(20, 32, dtype=dtype)
    y, saved = net.forward(x)
    d_x = net.backward(d_y, saved)
    inputs = [x]
    for block in exact:
        inputs.append(block(inputs[-1]))
    d = d_y
    for block, at in zip(reversed(list(exact)), reversed(inputs[:-1]), strict=True):
        y, saved = block.forward(at)
        saved = type(saved)(y, saved.moments)
        d = block.backward(d, saved)
    assert float((d_x - d).norm() / d.norm()) < bound


def test_input_grad_is_left_out_where_nobody_needs_it():
    net = ReversibleSequence(Reversible(Linear(3, 3), Linear(3, 3)), Reversible(Linear(3, 3), Linear(3, 3)))
    net.input_grad = False
    assert [block.f.input_grad for block in net] == [False, True]
    assert [block.g.input_grad for block in net] == [True, True]
    y, saved = net.forward(torch.randn(5, 6))
    assert net.backward(y, saved) is None
    assert all(parameter.grad is not None for parameter in net.param())


def test_under_inference_mode_and_as_one_graph():
    x, ends = torch.randn(6, 6), []

    def step(net, loss, x):
        y, saved = net.forward(x)
        value, kept = loss.forward(y, x)
        net.backward(loss.backward(1.0, kept), saved)
        return value

    for take in (step, torch.compile(step, fullgraph=True, backend="eager")):
        torch.manual_seed(1)
        with torch.inference_mode():
            blocks = [Reversible(random_branch(), Tanh()) for _ in range(3)]
            net, loss = ReversibleSequence(*blocks), MSELoss()
            ends.append([take(net, loss, x), *(parameter.grad for parameter in net.param())])
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-5)


def test_it_is_a_list_of_blocks():
    net = ReversibleSequence(Reversible(Tanh(), Tanh()))
    net.append(Reversible(Linear(2, 2), Tanh()))
    assert [name for name, _ in net.named_param()] == ["1.f.weight", "1.f.bias"]
    assert isinstance(net[1:], ReversibleSequence)
    assert repr(Reversible(Tanh(), ReLU(), dim=-1)).startswith("Reversible(")
    x = torch.randn(3, 4)
    empty = ReversibleSequence()
    y, saved = empty.forward(x)
    assert torch.equal(empty.backward(y, saved), x)


def test_bad_use():
    child = r"ReversibleSequence: child must be a Reversible, .*, got a Tanh; write"
    for make in (lambda: ReversibleSequence(Tanh()), lambda: ReversibleSequence().append(Tanh())):
        with pytest.raises(ArgumentError, match=child):
            make()
    with pytest.raises(ArgumentError, match="Reversible: child must be a Module, got the class Tanh"):
        Reversible(Tanh, Tanh())
    with pytest.raises(ArgumentError, match=r"Reversible: dim must be a whole number, got 1.5"):
        Reversible(Tanh(), Tanh(), dim=1.5)
    block = Reversible(Linear(3, 3), Tanh())
    for x in (torch.randn(5, 5), torch.randn(6)):
        with pytest.raises(ShapeError, match=r"Reversible: axis 1 of x must have an even size, got a tensor of"):
            block.forward(x)
    with pytest.raises(ShapeError, match=r"Reversible: f must keep the shape of its input, .5, 3., got .5, 2."):
        Reversible(Linear(3, 2), Tanh()).forward(torch.randn(5, 6))
    with pytest.raises(ShapeError, match=r"Reversible: g must keep the shape of its input, .5, 3., got .5, 2."):
        Reversible(Tanh(), Linear(3, 2))(torch.randn(5, 6))
    for net in (block, ReversibleSequence(block, Reversible(Tanh(), Tanh()))):
        name = type(net).__name__
        x = torch.randn(5, 6)
        y, saved = net.forward(x)
        with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
            net.backward(y[:1], saved)
        with pytest.raises(ArgumentError, match=f"{name}: saved must be what its own forward returned, got"):
            net.backward(y, x)
        net.backward(y, saved)
        with pytest.raises(StateError, match=f"{name}: saved must hold one value for each of .*, got 0; a saved"):
            net.backward(y, saved)
    y, saved = block.forward(torch.randn(5, 6))
    block.g = Sequential(Tanh(), Tanh())
    with pytest.raises(StateError, match=r"Reversible: g must hold the modules that it held in the forward"):
        block.backward(y, saved)
