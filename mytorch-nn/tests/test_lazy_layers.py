"""Layers that take their channels from the first input, against PyTorch's."""

import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, DtypeError, ShapeError, StateError, UninitializedError

CONVOLUTIONS = {
    f"Lazy{kind}{count}d": {"out_channels": 4, "kernel_size": 3, "groups": 2}
    for kind in ("Conv", "ConvTranspose")
    for count in (1, 2, 3)
}
NORMS = {f"Lazy{kind}{count}d": {"eps": 0.1} for kind in ("BatchNorm", "InstanceNorm") for count in (1, 2, 3)}
WITHOUT = {"bias": False}
each = pytest.mark.parametrize(("name", "options"), (CONVOLUTIONS | NORMS).items(), ids=CONVOLUTIONS | NORMS)
each_convolution = pytest.mark.parametrize(("name", "options"), CONVOLUTIONS.items(), ids=CONVOLUTIONS)


def dimensions(name):
    return int(name[-2])


def draw(name, channels=6, batch=(3,)):
    return torch.randn(*batch, channels, *(5,) * dimensions(name)).double()


@pytest.mark.parametrize("more", [{}, {"bias": False}])
@each
def test_after_the_first_forward_it_is_the_layer_of_torch(agree, name, options, more):
    options = options | more
    ours, twin = getattr(nn, name)(**options).double(), getattr(torch.nn, name)(**options).double()
    x = draw(name)
    ours(x), twin(x)
    assert type(ours) is getattr(nn, name.removeprefix("Lazy"))
    agree(ours, twin, x)


@each
def test_the_first_weights_and_statistics_are_those_of_torch(name, options):
    x = draw(name)
    torch.manual_seed(1)
    twin = getattr(torch.nn, name)(**options, dtype=torch.float64)
    expected = twin(x)
    torch.manual_seed(1)
    ours = getattr(nn, name)(**options).double()
    torch.testing.assert_close(ours(x), expected.detach())
    assert list(ours.state_dict()) == list(twin.state_dict())
    torch.testing.assert_close(ours.state_dict(), dict(twin.state_dict()))


@each
def test_in_evaluation_before_the_first_forward(name, options):
    layer = getattr(nn, name)(**options).double().eval()
    layer(draw(name))
    assert not layer.training


@each
def test_a_state_tells_the_channels(name, options):
    full = getattr(nn, name.removeprefix("Lazy"))
    arguments = dict(options) if name in CONVOLUTIONS else options | {"affine": True, "track_running_stats": True}
    source = full(6, **arguments).double()
    layer = getattr(nn, name)(**options).double()
    layer.load_state_dict(source.state_dict())
    assert type(layer) is full
    x = draw(name)
    torch.testing.assert_close(layer(x), source(x))


@each
def test_a_weight_of_other_axes_tells_nothing(name, options):
    layer = getattr(nn, name)(**options)
    with pytest.raises(StateError, match="must come with tensors that tell the sizes of its lazy layer"):
        layer.load_state_dict({"weight": torch.zeros(()), "bias": torch.zeros(4)})
    assert type(layer) is getattr(nn, name)


@pytest.mark.parametrize("name", NORMS)
def test_without_scale_and_statistics(name):
    layer = getattr(nn, name)(affine=False, track_running_stats=False)
    twin = getattr(torch.nn, name.removeprefix("Lazy"))(6, affine=False, track_running_stats=False)
    x = draw(name)
    torch.testing.assert_close(layer(x), twin(x))
    assert not layer.state_dict()
    assert type(layer) is getattr(nn, name.removeprefix("Lazy"))
    layer = getattr(nn, name)(affine=False)
    twin = getattr(torch.nn, name.removeprefix("Lazy"))(6, affine=False, track_running_stats=True).double()
    torch.testing.assert_close(layer.double()(x), twin(x))


@pytest.mark.parametrize("name", [name for name in CONVOLUTIONS | NORMS if "BatchNorm" not in name])
def test_without_a_batch(name):
    layer = getattr(nn, name)(**(CONVOLUTIONS | NORMS)[name]).double()
    layer(draw(name, batch=()))
    assert layer(draw(name)).shape[0] == 3


def test_rows_without_sizes():
    assert repr(nn.LazyBatchNorm1d()) == "LazyBatchNorm1d()"
    layer = nn.LazyBatchNorm1d()
    layer(torch.randn(5, 4))
    assert repr(layer) == "BatchNorm1d(num_features=4)"


@each
def test_a_first_input_that_is_refused_leaves_it_lazy(name, options):
    layer = getattr(nn, name)(**options)
    for wrong, error, text in (
        (draw(name), DtypeError, "x must have the dtype of the parameters, torch.float32"),
        (draw(name)[None].float(), ShapeError, "x must have "),
        ([[1.0]], ArgumentError, "x must be a tensor, got a list"),
    ):
        with pytest.raises(error) as caught:
            layer(wrong)
        assert str(caught.value).startswith(f"{name}: {text}")
    assert type(layer) is getattr(nn, name)
    with pytest.raises(UninitializedError):
        layer.state_dict()
    layer(draw(name).float())


@each_convolution
def test_arguments_are_refused_before_the_first_input(name, options):
    for wrong in ({"kernel_size": 0}, {"groups": 0}, {"out_channels": 3}, {"padding_mode": "none"}, {"stride": "1"}):
        with pytest.raises(ArgumentError, match=next(iter(wrong)) if wrong != {"out_channels": 3} else "groups"):
            getattr(nn, name)(**options | wrong)
    with pytest.raises(ArgumentError, match="groups must divide in_channels and out_channels, got 2 for 5 and 4"):
        getattr(nn, name)(**options).double()(draw(name, 5))


@pytest.mark.parametrize("name", NORMS)
def test_settings_are_refused_before_the_first_input(name):
    for wrong in ({"eps": -1}, {"momentum": 2}, {"dtype": torch.int64}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            getattr(nn, name)(**wrong)


def test_an_output_size_at_the_first_input():
    layer = nn.LazyConvTranspose2d(3, 3, stride=2)
    assert layer(torch.randn(2, 4, 5, 5), output_size=(12, 12)).shape == (2, 3, 12, 12)
