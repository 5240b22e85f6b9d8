"""What all normalisations have in common, each compared with torch's."""

import warnings

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.testing import check_layer

LAYERS = {
    "LayerNorm": ((4,), (2, 3, 4)),
    "RMSNorm": ((4,), (2, 3, 4)),
    "GroupNorm": ((2, 4), (2, 4, 3)),
    "LocalResponseNorm": ((3,), (2, 4, 3)),
} | {f"{kind}Norm{axes}d": ((3,), (2, 3, *(4,) * axes)) for kind in ("Batch", "Instance") for axes in (1, 2, 3)}
each_layer = pytest.mark.parametrize("name", LAYERS)


def built(name, **options):
    return getattr(nn, name)(*LAYERS[name][0], **options)


@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm2d", "GroupNorm", "LocalResponseNorm"])
def test_channels_last(agree, name):
    x = torch.randn(2, LAYERS[name][1][1], 4, 5).to(memory_format=torch.channels_last)
    agree(getattr(nn, name)(*LAYERS[name][0]), getattr(torch.nn, name)(*LAYERS[name][0]), x)


@each_layer
def test_half_precision(name):
    """In bfloat16, a layer differs from itself in float32 by rounding alone."""
    x, d_y = (torch.randn(LAYERS[name][1]).bfloat16() for _ in range(2))
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        layer = built(name).to(dtype)
        y, saved = layer.forward(x.to(dtype))
        d_x = layer.backward(d_y.to(dtype), saved)
        assert y.dtype is d_x.dtype is dtype
        results.append([y.float(), d_x.float(), *(parameter.grad.float() for parameter in layer.param())])
    for half, full in zip(*results, strict=True):
        torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)


@each_layer
def test_an_empty_batch(agree, name):
    arguments, shape = LAYERS[name]
    layer = getattr(nn, name)(*arguments)
    y, saved = layer.forward(torch.randn(0, *shape[1:]))
    assert y.shape == (0, *shape[1:])
    assert layer.backward(torch.randn_like(y), saved).shape == y.shape
    assert all(not parameter.grad.any() for parameter in layer.param())


@each_layer
def test_the_meta_device(name):
    layer = built(name).to("meta")
    y, saved = layer.forward(torch.empty(LAYERS[name][1], device="meta"))
    assert layer.backward(torch.empty_like(y), saved).shape == LAYERS[name][1]


@each_layer
def test_one_graph(name):
    """torch.compile needs no break in a step."""
    torch.compiler.reset()  # else it makes symbols of what differs between the layers
    layer, x = built(name), torch.randn(LAYERS[name][1])
    d_y = torch.randn_like(x)

    def step(x, d_y):
        y, saved = layer.forward(x)
        return y, layer.backward(d_y, saved)

    expected = step(x, d_y)
    layer.zero_grad()
    for actual, value in zip(torch.compile(step, fullgraph=True, backend="eager")(x, d_y), expected, strict=True):
        torch.testing.assert_close(actual, value)


@each_layer
def test_the_contract(name):
    tags = {"fixed_dimensions"} if name not in ("LayerNorm", "RMSNorm") else set()
    check_layer(
        lambda: built(name),
        torch.randn(LAYERS[name][1]),
        tags=tags | ({"mixes_batch"} if name.startswith("Batch") else set()),
    )


@each_layer
def test_input_grad_false(name):
    layer = built(name, **({"affine": True} if name.startswith("Instance") else {}))
    layer.input_grad = False
    x = torch.randn(LAYERS[name][1])
    assert layer.backward(torch.randn_like(x), layer.forward(x)[1]) is None
    assert all(parameter.grad is not None for parameter in layer.param())


@each_layer
@pytest.mark.parametrize("axis", [0, -1])
def test_an_upstream_gradient_of_another_shape(name, axis):
    """A short one is refused before a kernel reads beyond its end."""
    layer, x = built(name), torch.randn(LAYERS[name][1])
    _, saved = layer.forward(x)
    for d_y in (x.narrow(axis, 0, 1), torch.randn(1), x.mT.contiguous()[None], None):
        with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
            layer.backward(d_y, saved)
    with pytest.raises(DtypeError, match=f"{name}: d_y must have the dtype of the (parameters|output), torch.float32"):
        layer.backward(x.double(), saved)


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("LayerNorm", (2, 3), "LayerNorm: last axes of x must be (4,), got a tensor of (2, 3)"),
        ("RMSNorm", (), "RMSNorm: last axes of x must be (4,), got a tensor of ()"),
        ("GroupNorm", (4,), "GroupNorm: x must be (batch, 4 channels, ...), got (4,)"),
        ("GroupNorm", (2, 3, 4), "GroupNorm: x must be (batch, 4 channels, ...), got (2, 3, 4)"),
        ("LocalResponseNorm", (2, 3), "LocalResponseNorm: x must be (batch, channels, length, ...), got (2, 3)"),
        ("BatchNorm2d", (2, 3), "BatchNorm2d: x must have 4 axes, got 2 in (2, 3)"),
        ("BatchNorm3d", (2, 4, 1, 1, 1), "BatchNorm3d: x must have 3 channels, got 4 in (2, 4, 1, 1, 1)"),
        ("BatchNorm2d", (1, 3, 1, 1), "BatchNorm2d: x must have more than one value per channel in training mode"),
        ("InstanceNorm1d", (3,), "InstanceNorm1d: x must have 2 or 3 axes, got 1 in (3,)"),
        ("InstanceNorm2d", (2, 2, 3), "InstanceNorm2d: x must have 3 channels, got 2 in (2, 2, 3)"),
        (
            "InstanceNorm3d",
            (2, 3, 1, 1, 1),
            "InstanceNorm3d: x must have more than one value in each channel",
        ),
    ],
)
def test_shapes_that_do_not_fit(name, shape, text):
    with pytest.raises(ShapeError) as caught:
        built(name).forward(torch.zeros(shape))
    assert str(caught.value).startswith(text)


def test_a_single_value_per_group():
    with pytest.raises(ShapeError, match=r"GroupNorm: x must have more than one value per group, got \(1, 4\) for 4"):
        nn.GroupNorm(4, 4)(torch.zeros(1, 4))


@each_layer
def test_whole_numbers(name):
    with pytest.raises(DtypeError, match=f"{name}: x must (be floating point|have the dtype of the parameters)"):
        built(name)(torch.zeros(LAYERS[name][1], dtype=torch.int64))


@pytest.mark.parametrize("size", [0, -1, 2.5, True, (), (3, 0), None, "4"])
@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_sizes_that_do_not_fit(name, size):
    with pytest.raises(ArgumentError, match=f"{name}: normalized_shape must be a whole number of at least 1, or sev"):
        getattr(nn, name)(size)


@pytest.mark.parametrize(
    ("name", "arguments", "options", "text"),
    [
        ("GroupNorm", (3, 4), {}, "num_groups must divide num_channels, 4, got 3"),
        ("GroupNorm", (0, 4), {}, "num_groups must be a whole number of at least 1, got 0"),
        ("LayerNorm", (4,), {"eps": -1.0}, "eps must be at least 0, got -1.0"),
        ("RMSNorm", (4,), {"dtype": torch.int64}, "dtype must be floating point"),
        ("InstanceNorm2d", (3,), {"momentum": 2}, "momentum must be between 0 and 1, got 2"),
        ("LocalResponseNorm", (0,), {}, "size must be a whole number of at least 1, got 0"),
        ("LocalResponseNorm", (2,), {"beta": None}, "beta must be a number, got None"),
    ],
)
def test_arguments_that_do_not_fit(name, arguments, options, text):
    with pytest.raises(ArgumentError) as caught:
        getattr(nn, name)(*arguments, **options)
    assert str(caught.value).startswith(f"{name}: {text}")


@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm2d", "BatchNorm3d"])
def test_reset_parameters(name):
    options = {"affine": True, "track_running_stats": True} if name == "InstanceNorm2d" else {}
    layer = built(name, **options)
    new = {key: value.clone() for key, value in layer.state_dict().items()}
    layer(torch.randn(LAYERS[name][1]))
    for parameter in layer.param():
        parameter.value.fill_(5)
    layer.reset_parameters()
    for key, value in new.items():
        assert torch.equal(layer.state_dict()[key], value), key


@pytest.mark.parametrize("momentum", [0.3, None])
def test_running_statistics_of_instances(momentum):
    """They follow the average over the rows of each batch, and evaluation uses them."""
    options = {"momentum": momentum, "track_running_stats": True, "dtype": torch.float64}
    ours, twin = nn.InstanceNorm1d(3, **options), torch.nn.InstanceNorm1d(3, **options)
    for count in (1, 4, 2):
        x = torch.randn(count, 3, 5, dtype=torch.float64)
        ours(x), twin(x)
    ours.eval(), twin.eval()
    torch.testing.assert_close(ours(x), twin(x), rtol=1e-12, atol=1e-12)
    for key, value in twin.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours(x[:, :, :1]), twin(x[:, :, :1]))  # one value is enough in evaluation


def both_ways(ours, twin, x, d_y):
    """Output, gradient of the input and gradient of the scale, of our layer and of torch's."""
    y, saved = ours.forward(x)
    d_x = ours.backward(d_y, saved)
    given = x.clone().requires_grad_()
    expected = twin(given)
    expected.backward(d_y)
    return (y, d_x, ours.weight.grad), (expected.detach(), given.grad, twin.weight.grad)


@pytest.mark.parametrize("mean", [0.0, 30.0, 1e3, 1e4])  # of a kernel that sums in another order than torch's
def test_instances_far_from_zero_lose_little_more_than_torchs(mean):
    torch.manual_seed(0)
    x, d_y = mean + torch.randn(4, 3, 64, 64), torch.randn(4, 3, 64, 64)
    exact_layers = (
        nn.InstanceNorm2d(3, affine=True).to(torch.float64),
        torch.nn.InstanceNorm2d(3, affine=True).double(),
    )
    _, exact = both_ways(*exact_layers, x.double(), d_y.double())
    ours, theirs = both_ways(nn.InstanceNorm2d(3, affine=True), torch.nn.InstanceNorm2d(3, affine=True), x, d_y)
    for value, expected, right in zip(ours, theirs, exact, strict=True):
        assert (value - right).norm() <= 8 * (expected - right).norm() + 1e-6 * right.norm()


@pytest.mark.parametrize("eps", [0.0, 1e-46, 1e-5])
@pytest.mark.parametrize(
    "x", [torch.full((2, 1, 4), 3.0), torch.full((2, 1, 4), 10000.1), torch.randn(2, 1, 4) * 1e-25]
)
def test_instances_of_one_value_are_as_torchs(x, eps):
    layers = nn.InstanceNorm1d(1, eps=eps, affine=True), torch.nn.InstanceNorm1d(1, eps=eps, affine=True)
    ours, theirs = both_ways(*layers, x, torch.randn(2, 1, 4))
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize(
    "of", [lambda x: x, lambda x: x.mT, lambda x: x[..., ::2], lambda x: x[:1].expand(3, -1, -1, -1)]
)
def test_instances_of_any_strides(of):
    x = of(torch.randn(3, 3, 6, 6, dtype=torch.float64))
    layers = nn.InstanceNorm2d(3, affine=True).to(torch.float64), torch.nn.InstanceNorm2d(3, affine=True).double()
    ours, theirs = both_ways(*layers, x, torch.randn_like(x))
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("affine", [False, True])
def test_instances_of_several_rows_are_traced(affine):
    layer, x = nn.InstanceNorm2d(3, affine=affine), torch.randn(2, 3, 5, 5)
    traced = make_fx(lambda given: layer.forward(given)[0], tracing_mode="fake", _allow_non_fake_inputs=True)(x)
    torch.testing.assert_close(traced(x), layer(x))


def test_instances_of_any_number_of_rows_are_exported():
    layer, x = nn.InstanceNorm1d(3), torch.randn(2, 3, 5)

    class Forward(torch.nn.Module):
        def forward(self, rows):
            return layer.forward(rows)[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.export.export(
            Forward(), (x,), dynamic_shapes={"rows": {0: torch.export.Dim("rows")}}, strict=False
        )
        exported = program.module()
    more = torch.randn(7, 3, 5)
    torch.testing.assert_close(exported(more), layer(more))
