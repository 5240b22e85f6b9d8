import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import Upsample

AXES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
}


def test_channels_last(agree):
    x = torch.randn(2, 3, 6, 5).to(memory_format=torch.channels_last)
    agree(Upsample(scale_factor=2, mode="bicubic"), torch.nn.Upsample(scale_factor=2, mode="bicubic"), x)


@pytest.mark.parametrize("mode", AXES)
@pytest.mark.parametrize("shape", [(), (3, 4), (2, 3, 4, 4, 4, 4), (2, 0, 4, 4, 4), (2, 3, 0)], ids=str)
def test_shapes_that_do_not_fit(mode, shape):
    with pytest.raises(
        ShapeError, match=rf"Upsample: x must be \(batch, channels, ...\) with .* in mode '{mode}', none"
    ):
        Upsample(2, mode=mode).forward(torch.randn(shape))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": (2, 2)}, r"with 2 sizes, as size \(2, 2\) has, got \(1, 1, 3\)"),
        ({"scale_factor": (2.0, 2.0)}, r"with 2 sizes, as scale_factor \(2\.0, 2\.0\) has, got \(1, 1, 3\)"),
        ({"scale_factor": 0.25}, r"must have sizes of at least 1 after scale_factor 0\.25, got \(1, 1, 3\)"),
    ],
)
def test_sizes_that_do_not_fit(options, text):
    with pytest.raises(ShapeError, match=f"Upsample: x .*{text}"):
        Upsample(**options).forward(torch.randn(1, 1, 3))


BAD_ARGUMENTS = [
    ({}, "size or scale_factor must be given, and not both, got None and None"),
    ({"size": 2, "scale_factor": 2}, "size or scale_factor must be given, and not both, got 2 and 2"),
    ({"size": 0}, "size must be one or several whole numbers of at least 1, got 0"),
    ({"size": (2, 1.5)}, "size must be one or several whole numbers of at least 1, got (2, 1.5)"),
    ({"scale_factor": -1.0}, "scale_factor must be one or several finite numbers above 0, got -1.0"),
    ({"scale_factor": True}, "scale_factor must be one or several finite numbers above 0, got True"),
    ({"scale_factor": float("nan")}, "scale_factor must be one or several finite numbers above 0, got nan"),
    (
        {"size": 2, "mode": "area"},
        "mode must be one of nearest, nearest-exact, linear, bilinear, bicubic, trilinear, got",
    ),
    ({"size": 2, "align_corners": False}, "align_corners must be None in mode 'nearest', which does not interpolate"),
    ({"size": 2, "recompute_scale_factor": True}, "recompute_scale_factor must be None or False where size is given"),
]


@pytest.mark.parametrize(("options", "text"), BAD_ARGUMENTS, ids=[text for _, text in BAD_ARGUMENTS])
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError) as caught:
        Upsample(**options)
    assert str(caught.value).startswith(f"Upsample: {text}")


def test_integers():
    with pytest.raises(DtypeError, match=r"Upsample: x must be floating point, got torch\.int64"):
        Upsample(2).forward(torch.zeros(1, 1, 3, dtype=torch.int64))


@pytest.mark.parametrize("mode", AXES)
def test_an_upstream_gradient_of_another_shape(mode):
    layer, x = Upsample(4, mode=mode), torch.randn(2, 3, *(3,) * AXES[mode][0])
    y, saved = layer.forward(x)
    for wrong in [(1,), (), y.shape[1:], (*y.shape[:-1], 3), (1, *y.shape[1:])]:
        with pytest.raises(ShapeError, match="Upsample: d_y must have the shape of the output"):
            layer.backward(torch.randn(wrong), saved)


def test_the_saved_value_of_another_layer():
    y, saved = Upsample(4, mode="bilinear").forward(torch.randn(1, 1, 3, 3))
    for other in (Upsample(4), Upsample(4, mode="bilinear", align_corners=True), Upsample(5, mode="bilinear")):
        with pytest.raises(ArgumentError, match="Upsample: saved must be that of a layer with mode, size and options"):
            other.backward(y, saved)
