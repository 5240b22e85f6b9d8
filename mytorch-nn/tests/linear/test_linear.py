import pytest
import torch

from mytorch.core import ArgumentError, AutogradError, DtypeError, ShapeError
from mytorch.nn import Linear, MSELoss
from mytorch.testing import check_layer

SHAPES = [(5, 3), (0, 3), (1, 3), (3,), (2, 4, 3), (2, 0, 3), (2, 3, 4, 3)]


def test_an_upstream_gradient_that_is_not_contiguous():
    layer, x = Linear(3, 4), torch.randn(2, 5, 3)
    expected = layer.backward(torch.ones(2, 5, 4), layer.forward(x)[1])
    weight = layer.weight.grad.clone()
    layer.zero_grad()
    torch.testing.assert_close(layer.backward(torch.ones(()).expand(2, 5, 4), layer.forward(x)[1]), expected)
    torch.testing.assert_close(layer.weight.grad, weight)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_the_contract(shape, bias):
    check_layer(lambda: Linear(3, 4, bias), torch.randn(shape), modes=("train",))


@pytest.mark.parametrize(("n_in", "n_out"), [(5, 4), (1, 1), (300, 7)])
def test_the_same_seed_draws_the_weights_of_torch(n_in, n_out):
    torch.manual_seed(3)
    ours = Linear(n_in, n_out)
    torch.manual_seed(3)
    twin = torch.nn.Linear(n_in, n_out)
    assert torch.equal(ours.weight.value, twin.weight)
    assert torch.equal(ours.bias.value, twin.bias)
    ours.reset_parameters(torch.Generator().manual_seed(3))
    assert torch.equal(ours.weight.value, twin.weight)


def test_uneven_micro_batches_add_up_to_the_full_batch():
    layer, loss = Linear(3, 4, dtype=torch.float64), MSELoss()
    x, t = torch.randn(10, 3, dtype=torch.float64), torch.randn(10, 4, dtype=torch.float64)

    def step(rows, weight):
        y, saved = layer.forward(x[rows])
        layer.backward(loss.backward(weight, loss.forward(y, t[rows])[1]), saved)

    step(slice(0, 10), 1.0)
    full = [parameter.grad.clone() for parameter in layer.param()]
    layer.zero_grad()
    for low, high in ((0, 1), (1, 4), (4, 10)):
        step(slice(low, high), (high - low) / 10)
    torch.testing.assert_close([parameter.grad for parameter in layer.param()], full, rtol=1e-12, atol=1e-12)


def test_input_grad_false_skips_only_the_input():
    layer = Linear(3, 4)
    layer.input_grad = False
    y, saved = layer.forward(torch.randn(5, 3))
    assert layer.backward(torch.randn_like(y), saved) is None
    assert layer.weight.grad is not None
    assert layer.bias.grad is not None


def test_frozen_parameters_get_no_gradient():
    layer = Linear(3, 4)
    layer.weight.trainable = False
    y, saved = layer.forward(torch.randn(5, 3))
    layer.backward(torch.randn_like(y), saved)
    assert layer.weight.grad is None
    assert layer.bias.grad is not None


def test_device_dtype_and_repr():
    layer = Linear(3, 4, bias=False, device="cpu", dtype=torch.float64)
    assert layer.weight.value.dtype == torch.float64
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Linear(in_features=3, out_features=4, bias=False, device='cpu', dtype=torch.float64)"


@pytest.mark.parametrize(
    ("x", "error", "text"),
    [
        (torch.zeros(5, 2), ShapeError, "Linear: last axis of x must be 3, got 2 in a tensor of (5, 2)"),
        (torch.tensor(1.0), ShapeError, "Linear: last axis of x must be 3, got no axis in a tensor of ()"),
        (torch.zeros(5, 3, requires_grad=True), AutogradError, "Linear: x must not require grad"),
    ],
)
def test_bad_input(x, error, text):
    with pytest.raises(error) as caught:
        Linear(3, 4).forward(x)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("shape", [(3, 2, 5), (2, 15), (6, 5)], ids=str)
def test_an_upstream_gradient_of_another_shape_is_refused(shape):
    layer = Linear(4, 5)
    _, saved = layer.forward(torch.randn(2, 3, 4))
    with pytest.raises(ShapeError) as caught:
        layer.backward(torch.randn(shape), saved)
    assert str(caught.value) == f"Linear: d_y must have the shape of the output, (2, 3, 5), got {shape}"
    assert layer.weight.grad is None


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("input_grad", [True, False])
@pytest.mark.parametrize(("of_input", "of_upstream"), [("cpu", "meta"), ("meta", "cpu")])
def test_an_upstream_gradient_on_another_device_is_refused(shape, input_grad, of_input, of_upstream):
    layer, x = Linear(3, 4), torch.randn(shape)
    layer.input_grad = input_grad
    y, _ = layer.forward(x)
    text = f"^Linear: d_y must be on the device of the input, {of_input}, got {of_upstream}; move it with "
    with pytest.raises(ArgumentError, match=text):
        layer.backward(torch.randn(y.shape, device=of_upstream), x.to(of_input))
    assert all(parameter.grad is None for parameter in layer.param())


@pytest.mark.parametrize("sizes", [(-1, 4), (4, -1)])
def test_sizes_below_zero_are_refused(sizes):
    with pytest.raises(ArgumentError, match=r"Linear: (in|out)_features must be a whole number of at least 0, got -1"):
        Linear(*sizes)


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0)])
def test_a_layer_without_weights_is_no_mistake(sizes):
    layer = Linear(*sizes)
    y, saved = layer.forward(torch.randn(2, sizes[0]))
    assert y.shape == (2, sizes[1])
    assert layer.backward(torch.randn_like(y), saved).shape == (2, sizes[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_an_input_of_another_dtype_than_the_weights(dtype):
    with pytest.raises(DtypeError, match=r"Linear: x must have the dtype of the parameters, torch.float32, got"):
        Linear(3, 4).forward(torch.ones(5, 3).to(dtype))
