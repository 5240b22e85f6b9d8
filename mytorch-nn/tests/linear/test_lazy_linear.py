"""A linear layer that takes in_features from its first input, against PyTorch's."""

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError, StateError, UninitializedError
from mytorch.nn import LazyLinear, Linear, ReLU, Residual, Sequential, initialize


def model():
    return Sequential(LazyLinear(4), ReLU(), LazyLinear(2, bias=False))


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3), (3,), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_gradients_are_those_of_torch(shape, bias):
    twin = torch.nn.LazyLinear(4, bias=bias, dtype=torch.float64)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    expected = twin(x)
    for value in twin.parameters():
        torch.nn.init.normal_(value)
    expected = twin(x)
    d_y = torch.randn_like(expected)
    expected.backward(d_y)

    ours = LazyLinear(4, bias=bias, dtype=torch.float64)
    ours(x.detach())
    ours.load_state_dict(twin.state_dict())
    y, saved = ours.forward(x.detach())
    torch.testing.assert_close(y, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours.backward(d_y, saved), x.grad, rtol=1e-12, atol=1e-12)
    for name, parameter in ours.named_param():
        torch.testing.assert_close(parameter.grad, twin.get_parameter(name).grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_first_weights_are_those_that_torch_draws(dtype):
    x = torch.randn(5, 3, dtype=dtype)
    torch.manual_seed(1)
    twin = torch.nn.LazyLinear(4, dtype=dtype)
    twin(x)
    torch.manual_seed(1)
    ours = LazyLinear(4).to(dtype)
    ours(x)
    torch.testing.assert_close(ours.state_dict(), dict(twin.state_dict()), rtol=0, atol=0)


def test_repr_before_and_after():
    net = model()
    assert repr(net[2]) == "LazyLinear(out_features=2, bias=False)"
    net(torch.randn(5, 3))
    assert repr(net[0]) == "Linear(in_features=3, out_features=4)"
    assert repr(net[2]) == "Linear(in_features=4, out_features=2, bias=False)"
    assert [type(net[0]), type(net[2])] == [Linear, Linear]


def test_several_forwards_are_answered_with_the_gradients_of_each():
    net, first, second = model(), torch.randn(5, 3), torch.randn(2, 3)
    flights = [net.forward(first), net.forward(second)]
    twin = Sequential(Linear(3, 4), ReLU(), Linear(4, 2, bias=False))
    twin.load_state_dict(net.state_dict())
    for (y, saved), x in zip(flights, (first, second), strict=True):
        d_y = torch.randn_like(y)
        expected, kept = twin.forward(x)
        torch.testing.assert_close(y, expected, rtol=0, atol=0)
        torch.testing.assert_close(net.backward(d_y, saved), twin.backward(d_y, kept), rtol=0, atol=0)
    for ours, theirs in zip(net.param(), twin.param(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)


def test_states_go_to_torch_and_come_from_it():
    net, x = model(), torch.randn(5, 3)
    twin = torch.nn.Sequential(torch.nn.LazyLinear(4), torch.nn.ReLU(), torch.nn.LazyLinear(2, bias=False))
    twin(x)
    net.load_state_dict(twin.state_dict())
    torch.testing.assert_close(net(x), twin(x).detach())
    other = torch.nn.Sequential(torch.nn.LazyLinear(4), torch.nn.ReLU(), torch.nn.LazyLinear(2, bias=False))
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(x).detach(), net(x))


@pytest.mark.parametrize("weight", [torch.zeros(4), torch.zeros(4, 3, 1), torch.zeros(())])
def test_a_weight_that_is_no_matrix_tells_no_size(weight):
    layer = LazyLinear(4)
    with pytest.raises(StateError, match="weight must come with tensors that tell the sizes of its lazy layer"):
        layer.load_state_dict({"weight": weight, "bias": torch.zeros(4)})
    with pytest.raises(StateError, match=r"weight must have shape \(4, 3\), got \(5, 3\)"):
        layer.load_state_dict({"weight": torch.zeros(5, 3), "bias": torch.zeros(4)})
    assert type(layer) is LazyLinear


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (
            [[1.0, 2.0]],
            ArgumentError,
            r"^LazyLinear: x must be a tensor, got a list; convert with torch\.as_tensor\(x\)$",
        ),
        (torch.tensor(1.0), ShapeError, r"^LazyLinear: x must have at least one axis, got a tensor of \(\)$"),
        (
            torch.zeros(2, 3).double(),
            DtypeError,
            r"^LazyLinear: x must have the dtype of the parameters, torch\.float32",
        ),
    ],
)
def test_a_first_input_that_is_refused_leaves_it_lazy(x, error, text):
    layer = LazyLinear(4)
    with pytest.raises(error, match=text):
        layer.forward(x)
    assert type(layer) is LazyLinear
    assert not layer.weight.initialized
    layer(torch.zeros(2, 3))


@pytest.mark.parametrize("out_features", [-1, 2.5, True, "4"])
def test_sizes_that_are_none(out_features):
    with pytest.raises(ArgumentError, match=r"^LazyLinear: out_features must be a whole number of at least 0, got"):
        LazyLinear(out_features)
    with pytest.raises(ArgumentError, match=r"^LazyLinear: dtype must be floating point"):
        LazyLinear(4, dtype=torch.int64)


@pytest.mark.parametrize("name", ["default", "xavier_normal", "kaiming_uniform", "zeros"])
def test_new_initial_values_need_shapes_and_change_nothing_without(name):
    net = Sequential(Linear(3, 3), LazyLinear(2))
    before = net[0].weight.value.clone()
    text = (
        r"^initialize: every parameter and buffer must have its shape, got lazy ones without: 1\.weight, 1\.bias; run"
    )
    with pytest.raises(UninitializedError, match=text):
        initialize(net, name)
    assert torch.equal(net[0].weight.value, before)
    net(torch.randn(5, 3))
    initialize(net, name)
    assert name != "zeros" or not net[1].weight.value.any()


def test_the_first_layer_leaves_out_the_gradient_of_the_data():
    net = Sequential(Residual(Sequential(LazyLinear(3))), LazyLinear(2))
    net.input_grad = False
    y, saved = net.forward(torch.randn(5, 3))
    assert net.backward(torch.randn_like(y), saved) is None
    assert all(parameter.grad is not None for parameter in net.param())


def test_a_step_costs_what_that_of_a_linear_costs():
    layer = LazyLinear(4)
    layer(torch.zeros(2, 3))
    assert type(layer).forward is Linear.forward
    assert type(layer.weight).value is type(Linear(3, 4).weight).value
