"""Sizes that no memory holds: a layer refuses them by its name and says what would fit, whatever decides the size."""

import copy
import re

import pytest
import torch

from mytorch import nn
from mytorch.core import ArgumentError, Module
from mytorch.plugins import memory

FAR = 2**40
"""Each axis of an output; of two of them, there are more numbers than torch can count."""
LINE, PLANE, SOLID = (torch.ones(1, *(2,) * axes) for axes in (1, 2, 3))
OUTPUTS = [
    *((nn.Upsample(size=size), x) for size, x in ((2**61, LINE), (FAR, PLANE), (FAR, SOLID)) for x in (x[None],)),
    *((nn.Upsample(scale_factor=1e9, mode=mode), PLANE[None]) for mode in ("nearest", "bilinear", "bicubic")),
    (nn.Upsample(scale_factor=1e300), PLANE[None]),
    (nn.UpsamplingNearest2d(size=FAR), PLANE[None]),
    (nn.UpsamplingBilinear2d(scale_factor=1e9), PLANE[None]),
    *((cls(2**61), LINE) for cls in (nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.ReplicationPad1d, nn.ZeroPad1d)),
    *((cls(FAR), PLANE) for cls in (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ReplicationPad2d, nn.ZeroPad2d)),
    *((cls(FAR), SOLID) for cls in (nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d, nn.ReplicationPad3d, nn.ZeroPad3d)),
    (nn.ConstantPad1d(2**70, 0.0), LINE),
    (nn.Unfold(2**31 - 1, padding=2**30), PLANE),
    (nn.Fold(2**31 - 1, 1, stride=2**30), torch.ones(1, 4)),
    (nn.PixelShuffle(FAR), torch.ones(0, 1, 1)),
    (nn.PixelUnshuffle(FAR), torch.ones(1, 0, 0)),
    (nn.Conv2d(1, 1, 1, padding=2**31 - 1), PLANE),
    (nn.Conv3d(1, 1, 1, padding=2**31 - 1, padding_mode="replicate"), SOLID),
    (nn.ConvTranspose2d(1, 1, 1, stride=2**31 - 1), PLANE),
    (nn.ConvTranspose3d(1, 1, 2, dilation=2**31 - 2), SOLID),
    (nn.MaxUnpool2d(2, 2**31 - 1), PLANE, torch.zeros(1, 2, 2, dtype=torch.int64)),
    (nn.MaxUnpool3d(2, 2**31 - 1), SOLID, torch.zeros(1, 2, 2, 2, dtype=torch.int64)),
]
OF_ROWS = [
    (nn.Bilinear(1, 1, 2**20), torch.ones(1, 1).expand(FAR, 1), torch.ones(1, 1).expand(FAR, 1)),
    (nn.Linear(1, 2**20), torch.ones(1, 1).expand(FAR, 1)),
    (nn.Embedding(1, 2**20), torch.zeros((), dtype=torch.int64).expand(FAR)),
    (nn.EmbeddingBag(1, 2**20), torch.zeros(1, dtype=torch.int64), torch.zeros(2**22, dtype=torch.int64)),
]
KNOWN = pytest.mark.skipif(memory() is None, reason="the system does not tell how much memory there is")


def refused(layer):
    name = type(layer).__name__
    return pytest.raises(
        ArgumentError, match=rf"^{name}: (y|indices) must have at most [\d,]+ numbers of .*, got sizes .*; "
    )


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("case", OUTPUTS, ids=lambda case: repr(case[0]))
def test_an_output_without_room_is_refused(case, device):
    layer, *inputs = case
    with refused(layer):
        copy.deepcopy(layer).to(device).forward(*(x.to(device) for x in inputs))


@KNOWN
@pytest.mark.parametrize("case", OF_ROWS, ids=lambda case: repr(case[0]))
def test_an_output_of_too_many_rows_for_memory_is_refused(case):
    layer, *inputs = case
    with refused(layer):
        layer.forward(*inputs)


@KNOWN
def test_weights_of_attention_without_room_are_refused():
    x = torch.ones(1, 1, 2).expand(2**21, 1, 2)
    with pytest.raises(
        ArgumentError, match=r"attn_weights must have at most .*; take shorter sequences, or pass need_w"
    ):
        nn.MultiheadAttention(2, 1).forward(x)


WEIGHTS = [
    lambda **place: nn.Linear(FAR, FAR, **place),
    lambda **place: nn.Linear(2**61, 1, **place),
    lambda **place: nn.LazyLinear(2**61, **place)(torch.ones(1, 2, **place)),
    lambda **place: nn.Bilinear(2**30, 2**30, 2**30, **place),
    lambda **place: nn.Embedding(FAR, FAR, **place),
    lambda **place: nn.EmbeddingBag(2**61, 2, **place),
    lambda **place: nn.Conv1d(FAR, FAR, 1, **place),
    lambda **place: nn.Conv2d(2**61, 2**61, 1, groups=2**61, **place),
    lambda **place: nn.LazyConv3d(1, 2**30, **place)(torch.ones(1, 2, 2, 2, **place)),
    lambda **place: nn.ConvTranspose2d(1, 4, 2**31 - 1, **place),
    lambda **place: nn.RNN(FAR, FAR, **place),
    lambda **place: nn.LSTM(2, 2**31, num_layers=10_000, **place),
    lambda **place: nn.GRUCell(2**61, 2, **place),
    lambda **place: nn.MultiheadAttention(FAR, 1, **place),
    lambda **place: nn.MultiheadAttention(4, 1, kdim=2**61, **place),
    lambda **place: nn.TransformerEncoderLayer(4, 1, dim_feedforward=2**61, **place),
    lambda **place: nn.BatchNorm2d(2**61, **place),
    lambda **place: nn.InstanceNorm1d(2**61, affine=True, **place),
    lambda **place: nn.GroupNorm(1, 2**61, **place),
    lambda **place: nn.LayerNorm((FAR, FAR), **place),
    lambda **place: nn.RMSNorm(2**61, **place),
    lambda **place: nn.PReLU(2**61, **place),
    lambda **place: nn.AdaptiveLogSoftmaxWithLoss(8, 2**62, [10], **place),
    lambda **place: nn.LinearCrossEntropyLoss(8, 2**61, **place),
]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("build", WEIGHTS, ids=range(len(WEIGHTS)))
def test_weights_without_room_are_refused(build, device):
    refusal = (
        r"^\w+: \w+( of all layers)? must have at most [\d,]+ numbers of torch.float32, .*; make its sizes smaller$"
    )
    with pytest.raises(ArgumentError, match=refusal):
        build(device=device)


@KNOWN
def test_many_layers_without_room_for_all_are_refused():
    layer = nn.TransformerEncoderLayer(512, 8, device="meta")
    assert len(list(nn.TransformerEncoder(layer, 3).layers)) == 3
    for parameter in layer.param():
        parameter.value = torch.zeros(()).expand(parameter.value.shape)
    text = r"^TransformerEncoder: parameters of all layers must have at most .*; take fewer layers, or smaller ones$"
    with pytest.raises(ArgumentError, match=text):
        nn.TransformerEncoder(layer, 10_000)


WINDOWS: list[tuple[type[Module], dict[str, object]]] = [
    (nn.MaxPool2d, {"kernel_size": 2**31}),
    (nn.AvgPool1d, {"kernel_size": 2**62}),
    (nn.LPPool2d, {"norm_type": 2.0, "kernel_size": 1, "stride": 2**31}),
    (nn.FractionalMaxPool2d, {"kernel_size": 2**70, "output_size": 2}),
    (nn.MaxUnpool1d, {"kernel_size": 2**61}),
    (nn.Unfold, {"kernel_size": 1, "padding": 2**62}),
    (nn.Fold, {"output_size": 2**31, "kernel_size": 1}),
    (nn.Conv1d, {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "padding": 2**62}),
    (nn.Conv2d, {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "stride": 2**70}),
    (nn.ConvTranspose3d, {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "dilation": 2**31}),
]


@pytest.mark.parametrize(("cls", "arguments"), WINDOWS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_window_that_torch_cannot_count_is_refused(cls, arguments):
    name, value = max(arguments.items(), key=lambda item: item[1])
    text = f"{cls.__name__}: {name} must be a whole number of at most 2,147,483,647, got {value}"
    with pytest.raises(ArgumentError, match=re.escape(text)):
        cls(**arguments)


def test_a_window_of_a_transposed_convolution_that_torch_cannot_count_is_refused():
    with pytest.raises(
        ArgumentError, match=r"ConvTranspose2d: dilation \* \(kernel_size - 1\) must be below 2,147,483,647"
    ):
        nn.ConvTranspose2d(1, 1, 2, dilation=2**31 - 1)


def test_a_window_of_three_sizes_larger_than_x_has_no_norm():
    with pytest.raises(ValueError, match="LPPool3d: the window must not be larger than x itself"):
        nn.LPPool3d(2.0, 3, ceil_mode=True)(SOLID)
