import pytest
import torch

from mytorch.core import ArgumentError, ShapeError, allow_autograd
from mytorch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d
from mytorch.nn.normalization import batch_norm
from mytorch.testing import check_layer

OPTIONS = [
    {},
    {"momentum": None},
    {"momentum": 0.3, "eps": 1e-2},
    {"affine": False},
    {"track_running_stats": False},
    {"affine": False, "track_running_stats": False},
]
each_option = pytest.mark.parametrize("options", OPTIONS, ids=str)
X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


@each_option
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)], ids=str)
def test_the_contract(shape, options):
    check_layer(lambda: BatchNorm1d(3, **options), torch.randn(shape), tags=("mixes_batch", "fixed_dimensions"))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_over_several_batches(momentum):
    ours = BatchNorm1d(3, momentum=momentum, dtype=torch.float64)
    twin = torch.nn.BatchNorm1d(3, momentum=momentum, dtype=torch.float64)
    for count in (5, 2, 9):
        x = torch.randn(count, 3, dtype=torch.float64)
        ours(x), twin(x)
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-12, atol=1e-12)
    assert ours.state_dict()["num_batches_tracked"].dtype == torch.int64


def test_the_mode_of_the_forward_counts():
    """A training forward between an evaluation forward and its backward changes nothing."""
    layer = BatchNorm1d(3, dtype=torch.float64)
    x, d_y = X.double(), torch.randn(5, 3, dtype=torch.float64)
    layer.eval()
    expected = layer.backward(d_y, layer.forward(x)[1])
    _, saved = layer.forward(x)
    layer.train()
    layer.forward(7 * x + 1)
    torch.testing.assert_close(layer.backward(d_y, saved), expected, rtol=1e-12, atol=1e-12)


def test_input_grad_false():
    layer = BatchNorm1d(3)
    layer.input_grad = False
    assert layer.backward(X, layer.forward(X)[1]) is None
    assert layer.weight.grad is not None


def test_reset_parameters():
    layer, new = BatchNorm1d(3), BatchNorm1d(3)
    layer(X)
    layer.weight.value.fill_(5)
    layer.reset_parameters()
    for name, value in new.state_dict().items():
        assert torch.equal(layer.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((1, 3), "BatchNorm1d: x must have more than one value per channel in training mode, got (1, 3)"),
        ((1, 3, 1), "BatchNorm1d: x must have more than one value per channel in training mode, got (1, 3, 1)"),
        ((5, 4), "BatchNorm1d: x must have 3 channels, got 4 in (5, 4)"),
        ((3,), "BatchNorm1d: x must have 2 or 3 axes, got 1 in (3,)"),
    ],
)
def test_bad_input(shape, text):
    layer = BatchNorm1d(3)
    with pytest.raises(ShapeError) as caught:
        layer.forward(torch.zeros(shape))
    assert str(caught.value).startswith(text)
    assert layer.num_batches_tracked.value == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"eps": -1e-5}, "eps must be at least 0, got -1e-05"),
        ({"momentum": 1.5}, "momentum must be between 0 and 1, got 1.5"),
        ({"momentum": -0.1}, "momentum must be between 0 and 1, got -0.1"),
        ({"num_features": -1}, "num_features must be a whole number of at least 0, got -1"),
    ],
)
def test_numbers_out_of_range(options, text):
    with pytest.raises(ArgumentError, match=f"BatchNorm1d: {text}"):
        BatchNorm1d(**{"num_features": 3} | options)


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("cls", [BatchNorm1d, BatchNorm2d], ids=lambda cls: cls.__name__)
def test_a_scale_that_is_not_contiguous(cls, mode):
    x = torch.randn((5, 3) if cls is BatchNorm1d else (5, 3, 2, 2))
    layer, gradients = cls(3).train(mode), []
    scale = torch.randn(3, 2)[:, 0]  # the kernel would read what lies between
    for value in (scale.contiguous(), scale):
        layer.weight.value = value
        _, saved = layer.forward(x)
        gradients.append(layer.backward(x, saved))
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize("mode", [True, False])
def test_an_upstream_gradient_in_another_order_of_memory(mode):
    """A row of sizes in front of channels; the kernel reads it wrongly beside channels in front of sizes."""
    layer, x = BatchNorm2d(3).double().train(mode), torch.randn(1, 3, 3, 2).double()
    _, saved = layer.forward(x)
    d_y = torch.randn(3, 2, 1, 3).double().permute(2, 3, 0, 1)
    torch.testing.assert_close(layer.backward(d_y, saved), layer.backward(d_y.contiguous(), saved))


LARGE = {BatchNorm1d: (64, 4, 300), BatchNorm2d: (16, 4, 33, 32), BatchNorm3d: (4, 5, 16, 15, 16)}
each_large = pytest.mark.parametrize(("cls", "shape"), LARGE.items(), ids=lambda part: getattr(part, "__name__", ""))


def by_kernel_and_by_formula(monkeypatch, run):
    """What `run` gives for large x with either."""
    by_formula = run()
    with monkeypatch.context() as patch:
        patch.setattr(batch_norm, "_is_worth_more_calls", lambda _: False)
        return run(), by_formula


@each_option
@each_large
def test_large_images(cls, shape, options):
    ours = cls(shape[1], **options, dtype=torch.float64)
    twin = getattr(torch.nn, cls.__name__)(shape[1], **options, dtype=torch.float64)
    with torch.no_grad():
        for parameter, value in zip(ours.param(), twin.parameters(), strict=True):
            parameter.value.copy_(value.normal_())
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64).add_(3).requires_grad_()
        assert batch_norm._is_worth_more_calls(x.detach())
        y, saved = ours.forward(x.detach())
        expected = twin(x)
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
        twin.zero_grad()
        ours.zero_grad()
        d_y = torch.randn(shape, dtype=torch.float64)
        expected.backward(d_y)
        torch.testing.assert_close(ours.backward(d_y, saved), x.grad, rtol=1e-9, atol=1e-9)
        for parameter, value in zip(ours.param(), twin.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, value.grad, rtol=1e-9, atol=1e-9)
    for name, value in twin.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, -300.0, 1e5])
@each_large
def test_large_images_in_float32(cls, shape, mean):
    """The mean has the rounding of float32, and no more."""
    x = torch.randn(shape) + mean
    exact, _ = cls(shape[1], dtype=torch.float64).forward(x.double())
    rounding = torch.finfo(torch.float32).eps * max(1, abs(mean))
    assert (cls(shape[1])(x) - exact).abs().max() < 8 * rounding


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(16, 32, 33, 4).permute(0, 3, 1, 2),
        torch.randn(16, 4, 33, 64)[..., ::2],
        torch.randn(16, 4, 33, 32).bfloat16(),
    ],
    ids=["channels last", "not contiguous", "half precision"],
)
def test_large_images_that_are_for_the_kernel(x):
    assert not batch_norm._is_worth_more_calls(x)
    layer, twin, leaf = BatchNorm2d(4, dtype=x.dtype), torch.nn.BatchNorm2d(4, dtype=x.dtype), x.clone()
    (y, saved), expected, d_y = layer.forward(x), twin(leaf.requires_grad_()), torch.randn_like(x)
    expected.backward(d_y)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(layer.backward(d_y, saved), leaf.grad)
    torch.testing.assert_close(layer.weight.grad, twin.weight.grad)


@pytest.mark.parametrize(("factor", "eps"), [(1e20, 1e-5), (1e35, 1e-5), (0.0, 1e-46)])
def test_numbers_whose_squares_float32_does_not_hold(factor, eps):
    x = (torch.randn(16, 4, 33, 32) + 1) * factor
    layer, twin = BatchNorm2d(4, eps=eps), torch.nn.BatchNorm2d(4, eps=eps)
    leaf, d_y = x.clone().requires_grad_(), torch.randn(x.shape)
    y, saved = layer.forward(x)
    twin(leaf).backward(d_y)
    d_x = layer.backward(d_y, saved)
    torch.testing.assert_close(y, twin(x), equal_nan=True)
    torch.testing.assert_close(d_x, leaf.grad, equal_nan=True)


def test_autograd_sees_that_statistics_of_large_images_depend_on_them(monkeypatch):
    def gradient():
        x = torch.linspace(-1, 1, 16 * 4 * 33 * 32).view(16, 4, 33, 32).sin().requires_grad_()
        with allow_autograd():
            BatchNorm2d(4)(x).square().sum().backward()
        return x.grad

    torch.testing.assert_close(*by_kernel_and_by_formula(monkeypatch, gradient))


def test_statistics_of_large_images_that_are_not_finite():
    """They are NaN of the channel, and of no other, as torch's."""
    x = torch.randn(16, 4, 33, 32)
    x[3, 1, 2, 5] = float("inf")
    x[0, 2, 0, 0] = float("nan")
    y, expected = BatchNorm2d(4)(x), torch.nn.BatchNorm2d(4)(x)
    torch.testing.assert_close(y, expected, equal_nan=True)
    assert y[:, [0, 3]].isfinite().all()


@pytest.mark.parametrize("value", [255.3, 1e5 + 0.1, -3e-3])
def test_a_large_channel_of_equal_numbers(value):
    """What the mean loses by rounding does not become a variance, or a gradient."""
    x, layer = torch.full((8, 3, 60, 60), value), BatchNorm2d(3)
    y, saved = layer.forward(x)
    d_y = torch.randn(x.shape)
    d_x = layer.backward(d_y, saved)
    twin, leaf = torch.nn.BatchNorm2d(3), x.clone().requires_grad_()
    twin(leaf).backward(d_y)
    assert saved[1].tolist() == [x[0, 0, 0, 0].item()] * 3
    assert layer.weight.grad.abs().max() < 1e-3
    torch.testing.assert_close(d_x, leaf.grad, rtol=1e-3, atol=1e-3)
    assert y.abs().max() <= twin(x).abs().max() * 1.5 + 1e-6


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_forward_mode_of_large_images():
    x, t_x = torch.randn(16, 4, 33, 32), torch.randn(16, 4, 33, 32)
    layer = BatchNorm2d(4, track_running_stats=False)
    _, t_y = torch.func.jvp(lambda v: layer.forward(v)[0], (x,), (t_x,))
    twin = torch.nn.BatchNorm2d(4, track_running_stats=False)
    _, expected = torch.func.jvp(twin, (x,), (t_x,))
    torch.testing.assert_close(t_y, expected, rtol=1e-4, atol=1e-5)
