"""What layers and losses state of how they change is what torch's double backward gives, in float64."""

import operator
from typing import NamedTuple

import pytest
import torch
from double_backward import (
    Moves,
    as_given,
    as_ours,
    directions_of,
    filled,
    mapped,
    of_tensors,
    require_as_torch,
    require_changes,
    require_close,
    wanted_of,
)
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import mytorch.nn
from mytorch.core import Module, Parameter, states_tangents

pytestmark = [
    pytest.mark.numbers,
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total:UserWarning"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning"),
]


class Case(NamedTuple):
    """build: makes a layer or loss of the classes in mytorch.nn, and torch's of those in torch.nn.

    theirs: makes torch's where that is another.
    inputs: for each a shape, in which random numbers move, or a tensor, which does not move, such as integers and
        targets, unless it is `moving`; a list stands for a tuple of them.
    modes: whether it is compared in training, in evaluation, or in both.
    options: keyword arguments of the forward.
    """

    build: object
    inputs: tuple
    theirs: object
    modes: tuple
    options: dict


class Moving(NamedTuple):
    value: torch.Tensor


def moving(*shape):
    """Numbers that move and are between 0 and 1."""
    return Moving(0.1 + 0.8 * numbers(*shape).sin().square())


def case(build, *inputs, theirs=None, modes=(True, False), **options):
    return Case(build, inputs, theirs or (lambda: build(torch.nn)), modes, options)


class Function(torch.nn.Module):
    """A function as a module of torch."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs, **options):
        return self.function(*inputs, **options)


def function(compute):
    return lambda: Function(compute)


def numbers(*shape):
    return torch.linspace(0.2, 1.7, torch.Size(shape).numel()).reshape(shape).double()


def celu(alpha):
    """torch's own rounds 1 / alpha to float32."""
    return function(lambda x: torch.where(x > 0, x, alpha * torch.expm1(x / alpha)))


def hardsigmoid(x):
    """With the slope of its kernel, which rounds 1 / 6 to float32."""
    exact, sloped = (x + 3).clamp(0, 6) / 6, ((x + 3) * torch.tensor(1 / 6, dtype=torch.float32).item()).clamp(0, 1)
    return sloped + (exact - sloped).detach()


def named(name, *arguments, **options):
    return lambda n: getattr(n, name)(*arguments, **options)


ONE, TRAINING, EVALUATION = (5, 4), (True,), (False,)
PLAIN = (
    "ReLU Tanh Sigmoid LogSigmoid Softsign Hardshrink Softshrink Tanhshrink LeakyReLU ReLU6 Hardtanh ELU CELU SELU "
    "GELU SiLU Mish Softplus Hardswish"
)
ACTIVATIONS = {
    **{name: case(named(name), ONE) for name in PLAIN.split()},
    "Hardsigmoid": case(named("Hardsigmoid"), ONE, theirs=function(hardsigmoid)),
    "Hardshrink, lambd": case(named("Hardshrink", 0.2), ONE),
    "Softshrink, lambd": case(named("Softshrink", 0.1), ONE),
    "LeakyReLU, slope": case(named("LeakyReLU", 0.3), ONE),
    "LeakyReLU, falling": case(named("LeakyReLU", -0.3), ONE),
    "Hardtanh, limits": case(named("Hardtanh", -0.4, 1.2), ONE),
    "Threshold": case(named("Threshold", 0.1, 0.7), ONE),
    "ELU, alpha": case(named("ELU", 1.3), ONE),
    "ELU, falling": case(named("ELU", -0.6), ONE),
    "ELU, flat": case(named("ELU", 0.0), ONE),
    "CELU, alpha": case(named("CELU", 1.6), ONE, theirs=celu(1.6)),
    "CELU, falling": case(named("CELU", -0.7), ONE, theirs=celu(-0.7)),
    "GELU, tanh": case(named("GELU", "tanh"), ONE),
    "Softplus, beta": case(named("Softplus", 1.7, 0.6), ONE),
    "Softplus, falling": case(named("Softplus", -1.2, 0.5), ONE),
    "RReLU": case(named("RReLU", 0.2, 0.4), ONE, modes=EVALUATION),
    **{
        f"{name}({axis}) of {shape}": case(named(name, axis), shape)
        for name in ("Softmax", "Softmin", "LogSoftmax")
        for axis, shape in ((-1, (3, 4, 2)), (0, (3, 4, 2)), (1, (3, 4, 2)), (-1, ()), (0, (1,)))
    },
    **{f"GLU({axis})": case(named("GLU", axis), (4, 6)) for axis in (-1, 0, 1)},
    "PReLU": case(named("PReLU"), ONE),
    "PReLU, one number": case(named("PReLU"), ()),
    "PReLU, channels": case(named("PReLU", 4), (3, 4, 2, 2)),
    "PReLU, no rows": case(named("PReLU", 4), (0, 4)),
    "Softmax2d": case(named("Softmax2d"), (2, 3, 2, 2)),
    "Softmax2d, one image": case(named("Softmax2d"), (3, 2, 2)),
}
MAPS = {
    "Linear": case(named("Linear", 4, 3), (5, 4)),
    "Linear, no bias": case(named("Linear", 4, 3, bias=False), (2, 5, 4)),
    "Linear, one row": case(named("Linear", 4, 3), (4,)),
    "Linear, no rows": case(named("Linear", 4, 3), (0, 4)),
    "Embedding": case(named("Embedding", 7, 3), torch.tensor([[1, 6, 1], [0, 2, 2]])),
    "Conv1d": case(named("Conv1d", 2, 3, 3, stride=2, padding=1), (4, 2, 7)),
    "Conv1d, one": case(named("Conv1d", 2, 3, 3), (2, 7)),
    "Conv1d, none": case(named("Conv1d", 2, 3, 3), (0, 2, 7)),
    "Conv2d": case(named("Conv2d", 4, 6, (2, 3), (1, 2), (1, 0), groups=2), (3, 4, 5, 6)),
    "Conv2d, dilation": case(named("Conv2d", 2, 3, 3, dilation=(2, 1), padding="same", bias=False), (3, 2, 4, 5)),
    "Conv2d, reflect": case(named("Conv2d", 2, 3, 3, padding=(1, 2), padding_mode="reflect"), (3, 2, 4, 5)),
    "Conv2d, circular": case(named("Conv2d", 2, 3, 3, padding=1, padding_mode="circular"), (3, 2, 4, 5)),
    "Conv3d": case(named("Conv3d", 2, 2, 2, padding=1), (2, 2, 3, 2, 3)),
    "ConvTranspose1d": case(named("ConvTranspose1d", 2, 3, 3, stride=2, padding=1), (4, 2, 5)),
    "ConvTranspose2d": case(
        named("ConvTranspose2d", 4, 4, 2, 2, (1, 0), groups=2, dilation=2, bias=False), (3, 4, 3, 2)
    ),
    "ConvTranspose3d": case(named("ConvTranspose3d", 2, 2, 2), (2, 2, 2, 3, 2)),
}
POOLS = {
    "MaxPool1d": case(named("MaxPool1d", 3, 2, 1), (3, 2, 7)),
    "MaxPool2d": case(named("MaxPool2d", (2, 3), 1, dilation=(2, 1), ceil_mode=True), (3, 2, 5, 6)),
    "MaxPool2d, one image": case(named("MaxPool2d", 2), (2, 5, 6)),
    "MaxPool3d": case(named("MaxPool3d", 2), (2, 2, 4, 3, 5)),
    "AvgPool1d": case(named("AvgPool1d", 3, 2, 1), (3, 2, 7)),
    "AvgPool2d": case(named("AvgPool2d", 2, 1, 1, ceil_mode=True, count_include_pad=False), (3, 2, 5, 4)),
    "AvgPool2d, divisor": case(named("AvgPool2d", (2, 3), divisor_override=5), (3, 2, 5, 4)),
    "AvgPool3d": case(named("AvgPool3d", 2, 2, 1), (2, 2, 3, 4, 2)),
}
SAMPLES = torch.linspace(0.1, 0.8, 12).double()
PLACES = torch.tensor([[[0, 3, 5], [7, 4, 2]], [[1, 2, 4], [0, 7, 6]]])


def drawn_places(name, dimensions, **options):
    return named(name, 2, _random_samples=SAMPLES[: 4 * dimensions].reshape(2, 2, dimensions), **options)


POOLS |= {
    "MaxPool2d, indices": case(named("MaxPool2d", 2, return_indices=True), (3, 2, 5, 6)),
    "AdaptiveAvgPool1d": case(named("AdaptiveAvgPool1d", 3), (3, 2, 7)),
    "AdaptiveAvgPool2d": case(named("AdaptiveAvgPool2d", (2, None)), (3, 2, 5, 4)),
    "AdaptiveAvgPool2d, no images": case(named("AdaptiveAvgPool2d", 2), (0, 2, 5, 4)),
    "AdaptiveAvgPool3d": case(named("AdaptiveAvgPool3d", (2, 1, 3)), (2, 3, 2, 4)),
    "AdaptiveMaxPool1d": case(named("AdaptiveMaxPool1d", 3), (3, 2, 7)),
    "AdaptiveMaxPool2d": case(named("AdaptiveMaxPool2d", (2, None), return_indices=True), (3, 2, 5, 4)),
    "AdaptiveMaxPool2d, no images": case(named("AdaptiveMaxPool2d", 2), (0, 2, 5, 4)),
    "AdaptiveMaxPool2d, larger": case(named("AdaptiveMaxPool2d", 7), (2, 5, 4)),
    "AdaptiveMaxPool3d": case(named("AdaptiveMaxPool3d", (2, 1, 3)), (2, 2, 3, 2, 4)),
    "FractionalMaxPool2d": case(drawn_places("FractionalMaxPool2d", 2, output_size=(2, 3)), (2, 2, 5, 6)),
    "FractionalMaxPool2d, indices": case(
        drawn_places("FractionalMaxPool2d", 2, output_ratio=0.6, return_indices=True), (2, 2, 5, 6)
    ),
    "FractionalMaxPool3d": case(drawn_places("FractionalMaxPool3d", 3, output_size=2), (2, 2, 5, 4, 6)),
    "MaxUnpool1d": case(
        named("MaxUnpool1d", 3, 2, 1), (2, 2, 3), torch.tensor([[[0, 3, 4], [2, 4, 1]], [[1, 2, 4], [0, 3, 2]]])
    ),
    "MaxUnpool1d, size": case(named("MaxUnpool1d", 3), (2, 2, 3), PLACES, output_size=(8,)),
    "MaxUnpool2d": case(named("MaxUnpool2d", 2), (2, 1, 3), PLACES[:, :1]),
    "MaxUnpool3d": case(named("MaxUnpool3d", 2), (2, 1, 1, 3), PLACES[:, :1].unsqueeze(1)),
    "LPPool1d": case(named("LPPool1d", 2, 3, 2), (3, 2, 8)),
    "LPPool1d, sums": case(named("LPPool1d", 1, 2), (3, 2, 6)),
    "LPPool2d, cubes": case(named("LPPool2d", 4, (2, 3), ceil_mode=True), (3, 2, 5, 4)),
    "LPPool2d, no images": case(named("LPPool2d", 2, 2), (0, 2, 5, 4)),
    "LPPool2d, roots": case(lambda n: n.Sequential(n.Softplus(), n.LPPool2d(1.5, 2, 1)), (3, 2, 5, 4)),
    "LPPool3d": case(named("LPPool3d", 2, 2), (2, 2, 4, 2, 3)),
}


class TheirBags(torch.nn.Module):
    """By rows of the table, since torch's own has no second derivative."""

    def __init__(self, mode="mean", padding_idx=None, include_last_offset=False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(7, 3))
        self.reduce, self.padding, self.last = (
            getattr(torch, mode.replace("max", "amax")),
            padding_idx,
            include_last_offset,
        )

    def forward(self, indices, offsets=None, weights=None):
        if offsets is not None:
            ends = offsets if self.last else torch.cat([offsets, torch.tensor([len(indices)])])
            indices = indices.split(ends.diff().tolist())
            weights = weights if weights is None else weights.split(ends.diff().tolist())
        return torch.stack(
            [self.of_bag(bag, None if weights is None else weights[n]) for n, bag in enumerate(indices)]
        )

    def of_bag(self, bag, weights):
        kept = bag != (-1 if self.padding is None else self.padding)
        rows = self.weight[bag[kept]] if weights is None else self.weight[bag[kept]] * weights[kept].unsqueeze(1)
        return self.reduce(rows, 0) if len(rows) else torch.zeros(3).double()


def bags(*inputs, **options):
    return case(named("EmbeddingBag", 7, 3, **options), *inputs, theirs=lambda: TheirBags(**options))


BAGS, OFFSETS = torch.tensor([[1, 6, 1], [2, 2, 0], [2, 5, 2]]), torch.tensor([0, 2, 2, 6, 9])
MAPS |= {
    "Unfold": case(named("Unfold", (2, 3), 2, (1, 2), (1, 2)), (3, 2, 5, 6)),
    "Unfold, one image": case(named("Unfold", 2), (2, 3, 4)),
    "Unfold, no images": case(named("Unfold", 2), (0, 3, 4, 4)),
    "Fold": case(named("Fold", (4, 5), (2, 3), 1, 1, (1, 2)), (3, 12, 15)),
    "Fold, one image": case(named("Fold", 3, 2), (8, 4)),
    "PixelShuffle": case(named("PixelShuffle", 2), (3, 8, 2, 3)),
    "PixelUnshuffle": case(named("PixelUnshuffle", 3), (2, 2, 3, 6)),
    "ChannelShuffle": case(named("ChannelShuffle", 2), (3, 6, 2, 2)),
    "Flatten": case(named("Flatten", 1, 2), (3, 2, 3, 4)),
    "Unflatten": case(named("Unflatten", -1, (2, -1)), (3, 6)),
    "Upsample, nearest": case(named("Upsample", scale_factor=1.6), (2, 3, 4)),
    "Upsample, nearest-exact": case(named("Upsample", (5, 7, 3), mode="nearest-exact"), (2, 1, 3, 4, 2)),
    "Upsample, linear": case(named("Upsample", 7, mode="linear", align_corners=True), (2, 3, 4)),
    "Upsample, bilinear": case(named("Upsample", scale_factor=(1.5, 0.7), mode="bilinear"), (2, 3, 4, 5)),
    "Upsample, bicubic": case(
        named("Upsample", scale_factor=1.7, mode="bicubic", recompute_scale_factor=True), (2, 3, 4, 5)
    ),
    "Upsample, trilinear": case(named("Upsample", (4, 2, 5), mode="trilinear"), (2, 1, 3, 4, 2)),
    "Upsample, no images": case(named("Upsample", scale_factor=2), (0, 3, 4, 5)),
    "UpsamplingNearest2d": case(named("UpsamplingNearest2d", scale_factor=2), (2, 3, 2, 3)),
    "UpsamplingBilinear2d": case(named("UpsamplingBilinear2d", (5, 2)), (2, 3, 2, 3)),
    "Bilinear": case(named("Bilinear", 3, 4, 9), (5, 3), (5, 4)),
    "Bilinear, no bias": case(named("Bilinear", 2, 1, 3, bias=False), (2, 5, 2), (2, 5, 1)),
    "Bilinear, one row": case(named("Bilinear", 3, 4, 1), (3,), (4,)),
    "Bilinear, one input moves": case(named("Bilinear", 3, 4, 2), numbers(5, 3), (5, 4)),
    "EmbeddingBag": bags(BAGS),
    "EmbeddingBag, sum": bags(BAGS, mode="sum", padding_idx=2),
    "EmbeddingBag, max": bags(BAGS, mode="max", padding_idx=2),
    "EmbeddingBag, offsets": bags(BAGS.flatten(), OFFSETS, padding_idx=2),
    "EmbeddingBag, offsets and max": bags(BAGS.flatten(), OFFSETS, mode="max", include_last_offset=True),
    "EmbeddingBag, weights": bags(BAGS.flatten(), OFFSETS, (9,), mode="sum", padding_idx=2, include_last_offset=True),
    "EmbeddingBag, weights of bags": bags(BAGS.flatten(), OFFSETS[:4], (9,), mode="sum"),
    "PairwiseDistance": case(named("PairwiseDistance"), (5, 3), (5, 3)),
    "PairwiseDistance, shapes": case(named("PairwiseDistance", 3, keepdim=True), (2, 1, 4), (5, 1)),
    "PairwiseDistance, steep": case(named("PairwiseDistance", 1.4), (5, 3), (3,)),
    "PairwiseDistance, largest": case(named("PairwiseDistance", torch.inf), (5, 3), (5, 3)),
    "PairwiseDistance, sum": case(named("PairwiseDistance", 1), (5, 3), numbers(5, 3)),
    "CosineSimilarity": case(named("CosineSimilarity"), (5, 3), (5, 3)),
    "CosineSimilarity, shapes": case(named("CosineSimilarity", 0, 0.1), (4, 1, 3), (4, 5, 1)),
    "CosineSimilarity, one moves": case(named("CosineSimilarity", -1), (5, 3), numbers(1, 3)),
}


NORMS = {
    "LayerNorm": case(named("LayerNorm", 4), (5, 4)),
    "LayerNorm, two axes": case(named("LayerNorm", (3, 4), eps=0.1, bias=False), (5, 3, 4)),
    "LayerNorm, no scale": case(named("LayerNorm", 4, elementwise_affine=False), (2, 3, 4)),
    "RMSNorm": case(named("RMSNorm", 4), (5, 4)),
    "RMSNorm, eps": case(named("RMSNorm", (3, 4), eps=0.3), (5, 3, 4)),
    "RMSNorm, no scale": case(named("RMSNorm", 4, elementwise_affine=False), (2, 3, 4)),
    "GroupNorm": case(named("GroupNorm", 2, 4), (3, 4, 3, 2)),
    "GroupNorm, rows": case(named("GroupNorm", 2, 6, eps=0.2), (3, 6)),
    "GroupNorm, no bias": case(named("GroupNorm", 1, 4, bias=False), (3, 4, 5)),
    "GroupNorm, no scale": case(named("GroupNorm", 4, 4, affine=False), (3, 4, 5)),
    "BatchNorm1d": case(named("BatchNorm1d", 4), (5, 4)),
    "BatchNorm1d, no statistics": case(named("BatchNorm1d", 4, track_running_stats=False), (5, 4)),
    "BatchNorm1d, mean of all": case(named("BatchNorm1d", 4, momentum=None), (5, 4, 3)),
    "BatchNorm2d": case(named("BatchNorm2d", 3, eps=0.1), (2, 3, 4, 2)),
    "BatchNorm2d, no scale": case(named("BatchNorm2d", 3, affine=False), (2, 3, 4, 2)),
    "BatchNorm2d, no bias": case(named("BatchNorm2d", 3, bias=False), (2, 3, 4, 2)),
    "BatchNorm3d": case(named("BatchNorm3d", 2), (3, 2, 2, 1, 3)),
    "LocalResponseNorm": case(named("LocalResponseNorm", 3, 0.7, 0.6, 1.3), (2, 5, 4)),
    "LocalResponseNorm, even": case(named("LocalResponseNorm", 4, 0.7), (2, 6, 2, 3)),
    "LocalResponseNorm, wide": case(named("LocalResponseNorm", 9, 2.0, -0.4), (2, 3, 4)),
    "CrossMapLRN2d": case(
        named("CrossMapLRN2d", 3, 0.7, 0.6, 1.3),
        (2, 5, 4, 2),
        theirs=lambda: torch.nn.LocalResponseNorm(3, 0.7, 0.6, 1.3),
    ),
    "SyncBatchNorm": case(named("SyncBatchNorm", 3), (2, 3, 4, 2), theirs=lambda: torch.nn.BatchNorm2d(3)),
    "InstanceNorm1d": case(named("InstanceNorm1d", 3), (2, 3, 4)),
    "InstanceNorm1d, one row": case(named("InstanceNorm1d", 3, affine=True), (3, 4)),
    "InstanceNorm2d": case(named("InstanceNorm2d", 3, eps=0.1, affine=True), (2, 3, 4, 2)),
    "InstanceNorm2d, no bias": case(named("InstanceNorm2d", 3, affine=True, bias=False), (2, 3, 4, 2)),
    "InstanceNorm2d, statistics": case(
        named("InstanceNorm2d", 3, affine=True, track_running_stats=True), (2, 3, 4, 2)
    ),
    "InstanceNorm3d": case(named("InstanceNorm3d", 2, affine=True, track_running_stats=True), (3, 2, 2, 1, 3)),
}


class TheirResidual(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class TheirCheckpoint(TheirResidual):
    def forward(self, x):
        return self.inner(x)


class TheirBranches(torch.nn.Sequential):
    """What `join` makes of the outputs of several branches."""

    def __init__(self, join, *branches):
        super().__init__(*branches)
        self.join = join

    def forward(self, x):
        return self.join([branch(x) for branch in self])


class TheirReversible(torch.nn.Module):
    def __init__(self, f, g):
        super().__init__()
        self.f, self.g = f, g

    def forward(self, x):
        x1, x2 = x.chunk(2, 1)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], 1)


class TheirAutoencoder(torch.nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        mean, log_var = self.encoder(x).chunk(2, -1)
        z = mean + (log_var / 2).exp() * torch.randn(mean.shape, dtype=mean.dtype) if self.training else mean
        return self.decoder(z), mean, log_var


def inner(n):
    return n.Sequential(n.Linear(4, 5), n.Tanh(), n.Linear(5, 4))


def branches(name, join, **options):
    """Several of a container and of a layer that moves by itself, one that stands still and one that does not."""

    def parts(n):
        return n.Tanh(), inner(n), n.Identity(), n.Linear(4, 4)

    return case(
        lambda n: getattr(n, name)(*parts(n), **options), (5, 4), theirs=lambda: TheirBranches(join, *parts(torch.nn))
    )


def reversible(n, block):
    return block(n.Sequential(n.Linear(3, 3), n.Tanh()), n.Sequential(n.Tanh(), n.Linear(3, 3, bias=False)))


def half(n, block):
    return block(n.Tanh(), n.Linear(3, 3))


NETS = {
    "Add": branches("Add", sum),
    "Concatenate": branches("Concatenate", lambda outputs: torch.cat(outputs, 1)),
    "Concatenate, the batch": branches("Concatenate", torch.cat, dim=0),
    "Parallel": branches("Parallel", tuple),
    "Take": case(
        lambda n: n.Sequential(n.Parallel(inner(n), n.Parallel(n.Linear(4, 2), n.Sigmoid())), n.Take(-1), n.Take(0)),
        (5, 4),
        theirs=lambda: torch.nn.Sequential(
            TheirBranches(tuple, inner(torch.nn), TheirBranches(tuple, torch.nn.Linear(4, 2), torch.nn.Sigmoid())),
            Function(lambda outputs: outputs[1][0]),
        ),
    ),
    "Take of inputs": case(named("Take", 1), [(5, 3), (5, 2)], theirs=function(lambda x: x[1])),
    "Checkpoint": case(lambda n: n.Checkpoint(inner(n)), (5, 4), theirs=lambda: TheirCheckpoint(inner(torch.nn))),
    "Reversible": case(
        lambda n: reversible(n, n.Reversible), (5, 6), theirs=lambda: reversible(torch.nn, TheirReversible)
    ),
    "ReversibleSequence": case(
        lambda n: n.ReversibleSequence(half(n, n.Reversible), reversible(n, n.Reversible), half(n, n.Reversible)),
        (5, 6),
        theirs=lambda: torch.nn.Sequential(
            half(torch.nn, TheirReversible), reversible(torch.nn, TheirReversible), half(torch.nn, TheirReversible)
        ),
    ),
    **{
        f"VariationalAutoencoder, entry {index} alone": case(
            lambda n, index=index: n.Sequential(n.VariationalAutoencoder(n.Linear(4, 6), n.Tanh()), n.Take(index)),
            (5, 4),
            theirs=lambda index=index: torch.nn.Sequential(
                TheirAutoencoder(torch.nn.Linear(4, 6), torch.nn.Tanh()), Function(operator.itemgetter(index))
            ),
        )
        for index in range(3)
    },
    "VariationalAutoencoder": case(
        lambda n: n.VariationalAutoencoder(n.Linear(4, 6), n.Sequential(n.Linear(3, 4), n.Tanh())),
        (5, 4),
        theirs=lambda: TheirAutoencoder(
            torch.nn.Linear(4, 6), torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
        ),
    ),
    "VariationalAutoencoder, no parameters": case(
        lambda n: n.VariationalAutoencoder(n.Tanh(), n.Sigmoid()),
        (5, 4),
        theirs=lambda: TheirAutoencoder(torch.nn.Tanh(), torch.nn.Sigmoid()),
    ),
    "a norm before all else": case(lambda n: n.Sequential(n.LayerNorm(4), n.Linear(4, 3)), (5, 4)),
    "a norm of batches before all else": case(lambda n: n.Sequential(n.BatchNorm1d(4), n.Tanh()), (5, 4)),
    "Residual": case(
        lambda n: n.Residual(n.Sequential(n.Linear(4, 4), n.Tanh())),
        (5, 4),
        theirs=lambda: TheirResidual(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())),
    ),
    "Residual before all else": case(
        lambda n: n.Sequential(n.Residual(n.Linear(4, 4)), n.SiLU()),
        (5, 4),
        theirs=lambda: torch.nn.Sequential(TheirResidual(torch.nn.Linear(4, 4)), torch.nn.SiLU()),
    ),
}


class TheirAttention(torch.nn.MultiheadAttention):
    """With the inputs that ours takes: key and value may be left out, and is_causal is a mask of its own."""

    def forward(self, query, key=None, value=None, is_causal=False, **options):
        key = query if key is None else key
        value = key if value is None else value
        if is_causal:
            options["attn_mask"] = causal(query.shape[1 if self.batch_first else 0])
        return super().forward(query, key, value, **options)


def causal(steps):
    return torch.full((steps, steps), -torch.inf).double().triu(1)


ANGLES = torch.outer(torch.arange(3), torch.tensor([1, 0.01], dtype=torch.float64))
ENCODED = torch.stack([ANGLES.sin(), ANGLES.cos()], -1).flatten(1)


def rotated(x):
    turned = torch.view_as_complex(x.unflatten(-1, (2, 2)).contiguous()) * torch.polar(
        torch.ones(3, 2).double(), ANGLES
    )
    return torch.view_as_real(turned).flatten(-2)


def attention(*inputs, options=None, modes=(True, False), **settings):
    """options: those of the forward."""
    settings = {"embed_dim": 4, "num_heads": 2, **settings}
    return case(
        lambda n: n.MultiheadAttention(**settings),
        *inputs,
        theirs=lambda: TheirAttention(**settings),
        modes=modes,
        **(options or {}),
    )


def transformer(name, *inputs, options=None, **settings):
    """options: those of the forward."""
    settings = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, **settings}
    return case(lambda n: getattr(n, name)(**settings), *inputs, **(options or {}))


def stack(name, *inputs, norm=None, options=None, **settings):
    """Of two layers, each with the settings."""

    def build(n):
        layer = getattr(n, f"{name}Layer")(4, 2, 6, **settings)
        return getattr(n, name)(layer, 2, norm=norm and n.LayerNorm(4))

    return case(build, *inputs, **(options or {}))


QUERY, KEYS = (3, 2, 4), (5, 2, 4)
HIDDEN = torch.tensor([[False, True, False], [False, False, True]])
HIDDEN_KEYS = torch.tensor([[True, False, False, True, False], [False, False, False, False, True]])
WITHOUT = {"need_weights": False}
NUMBERS = numbers(4, 3, 3) - 1
ATTENTION = {
    "MultiheadAttention": attention(QUERY),
    "MultiheadAttention, each head's weights": attention(QUERY, options={"average_attn_weights": False}),
    "MultiheadAttention, no weights": attention(QUERY, options=WITHOUT),
    "MultiheadAttention, one sequence": attention((3, 4)),
    "MultiheadAttention, one sequence, no weights": attention((3, 4), bias=False, options=WITHOUT),
    "MultiheadAttention, no sequence": attention((3, 0, 4)),
    "MultiheadAttention, two inputs": attention(QUERY, KEYS, options={"key_padding_mask": HIDDEN_KEYS}),
    "MultiheadAttention, three inputs": attention((2, 3, 4), (2, 5, 4), (2, 5, 4), batch_first=True),
    "MultiheadAttention, three sizes": attention(QUERY, (5, 2, 3), (5, 2, 5), kdim=3, vdim=5, options=WITHOUT),
    "MultiheadAttention, dropout": attention(QUERY, dropout=0.4, modes=TRAINING),
    "MultiheadAttention, dropout, no weights": attention(QUERY, dropout=0.4, modes=TRAINING, options=WITHOUT),
    "MultiheadAttention, causal": attention((2, 3, 4), batch_first=True, options={"is_causal": True}),
    "MultiheadAttention, causal, no weights": attention(QUERY, options={"is_causal": True, **WITHOUT}),
    "MultiheadAttention, a mask of numbers": attention(QUERY, options={"attn_mask": NUMBERS, **WITHOUT}),
    "MultiheadAttention, two masks": attention(
        QUERY, bias=False, options={"attn_mask": torch.eye(3).roll(1, 0).bool(), "key_padding_mask": HIDDEN}
    ),
    "MultiheadAttention, keys of its own": attention(
        QUERY, KEYS, add_bias_kv=True, add_zero_attn=True, options={"key_padding_mask": HIDDEN_KEYS}
    ),
    "MultiheadAttention, a key of its own": attention((3, 4), add_bias_kv=True, options=WITHOUT),
    "SinusoidalPositionalEncoding": case(
        named("SinusoidalPositionalEncoding", 4), QUERY, theirs=function(lambda x: x + ENCODED.unsqueeze(1))
    ),
    "RotaryPositionalEncoding": case(named("RotaryPositionalEncoding", 4), (2, 3, 4), theirs=function(rotated)),
    "TransformerEncoderLayer": transformer("TransformerEncoderLayer", QUERY, options={"src_mask": causal(3)}),
    "TransformerEncoderLayer, norm first": transformer(
        "TransformerEncoderLayer",
        (2, 3, 4),
        batch_first=True,
        norm_first=True,
        dropout=0.3,
        activation="gelu",
        options={"src_key_padding_mask": HIDDEN},
    ),
    "TransformerEncoderLayer, one sequence": transformer("TransformerEncoderLayer", (3, 4), bias=False),
    "TransformerEncoderLayer, batch first": transformer("TransformerEncoderLayer", (2, 3, 4), batch_first=True),
    "TransformerEncoder": stack("TransformerEncoder", QUERY, options={"mask": causal(3)}),
    "TransformerEncoder, a norm": stack("TransformerEncoder", (2, 3, 4), norm=True, batch_first=True, norm_first=True),
    "TransformerDecoderLayer": transformer(
        "TransformerDecoderLayer", QUERY, KEYS, options={"memory_key_padding_mask": HIDDEN_KEYS}
    ),
    "TransformerDecoderLayer, norm first": transformer(
        "TransformerDecoderLayer", (2, 3, 4), (2, 5, 4), batch_first=True, norm_first=True, activation="gelu"
    ),
    "TransformerDecoder": stack("TransformerDecoder", QUERY, KEYS, options={"tgt_mask": causal(3)}),
    "TransformerDecoder, a norm": stack("TransformerDecoder", (3, 4), (5, 4), norm=True, norm_first=True),
    "Transformer": transformer(
        "Transformer",
        (5, 2, 4),
        QUERY,
        num_encoder_layers=1,
        num_decoder_layers=2,
        dropout=0.2,
        options={"src_key_padding_mask": HIDDEN_KEYS, "tgt_mask": causal(3)},
    ),
    "Transformer, norm first": transformer(
        "Transformer", (5, 4), (3, 4), num_encoder_layers=1, num_decoder_layers=1, norm_first=True, bias=False
    ),
}
CLASSES, WEIGHT = torch.tensor([2, 0, 1, 1, 2]), torch.tensor([0.4, 1.3, 0.8]).double()
IGNORED = torch.tensor([2, 0, 1, 1, 0])
REDUCTIONS = ("mean", "sum", "none")
LOSSES = {}
for each in REDUCTIONS:
    LOSSES |= {
        f"MSELoss, {each}": case(named("MSELoss", reduction=each), (5, 3), numbers(5, 3)),
        f"BCEWithLogitsLoss, {each}": case(named("BCEWithLogitsLoss", reduction=each), (5, 3), numbers(5, 3) / 2),
        f"BCEWithLogitsLoss, weights, {each}": case(
            named("BCEWithLogitsLoss", WEIGHT, reduction=each, pos_weight=2 * WEIGHT), (5, 3), numbers(5, 3) / 2
        ),
        f"BCEWithLogitsLoss, weights of rows, {each}": case(
            named("BCEWithLogitsLoss", numbers(5, 1), reduction=each), (5, 3), numbers(5, 3) / 2
        ),
        f"CrossEntropyLoss, {each}": case(named("CrossEntropyLoss", reduction=each), (5, 3), CLASSES),
        f"CrossEntropyLoss, one row, {each}": case(named("CrossEntropyLoss", reduction=each), (3,), torch.tensor(1)),
        f"CrossEntropyLoss, weights, {each}": case(
            named("CrossEntropyLoss", WEIGHT, ignore_index=0, reduction=each, label_smoothing=0.2), (5, 3), IGNORED
        ),
        f"CrossEntropyLoss, ignored, {each}": case(
            named("CrossEntropyLoss", WEIGHT, ignore_index=1, reduction=each), (5, 3), IGNORED
        ),
        f"CrossEntropyLoss, images, {each}": case(
            named("CrossEntropyLoss", WEIGHT, reduction=each), (2, 3, 2, 2), torch.arange(8).reshape(2, 2, 2) % 3
        ),
        f"CrossEntropyLoss, probabilities, {each}": case(
            named("CrossEntropyLoss", WEIGHT, reduction=each, label_smoothing=0.1),
            (5, 3),
            numbers(5, 3).softmax(1),
        ),
    }
SIGNS = torch.tensor([1, -1, -1, 1, 1, 1, -1, 1, -1, -1, 1, -1, 1, 1, -1]).double()
LABELS = torch.tensor([[0, -1, 1], [1, 2, -1], [-1, 0, 1], [2, 0, 1], [2, -1, 0]])


def gaussian(**options):
    """torch's order is input, target, var."""
    loss = torch.nn.GaussianNLLLoss(**options)
    return function(lambda predicted, var, target: loss(predicted, target, var))


def triplet(**options):
    return case(named("TripletMarginLoss", **options), *3 * [(5, 3)])


class Apart(Module):
    """distance = sum over the last axis of gain * (x1 - x2)^2"""

    def __init__(self):
        self.gain = Parameter(torch.ones(3))

    def forward(self, x1, x2):
        return (self.gain.value * (x1 - x2) ** 2).sum(-1), x1 - x2

    def backward(self, d_y, u):
        self.gain.accumulate((d_y.unsqueeze(-1) * u * u).sum(0))
        d_u = 2 * self.gain.value * u * d_y.unsqueeze(-1)
        return d_u, -d_u

    def tangent(self, t_input, u, along):
        t_u = t_input[0] - t_input[1]
        return (2 * self.gain.value * u * t_u + along[self.gain] * u * u).sum(-1), t_u

    def backward_tangent(self, d_y, t_d_y, u, t_u, along):
        d_y, t_d_y = d_y.unsqueeze(-1), t_d_y.unsqueeze(-1)
        self.gain.accumulate((t_d_y * u * u + 2 * d_y * u * t_u).sum(0))
        d_u, gain = 2 * self.gain.value * u * d_y, self.gain.value
        t_d_u = 2 * (along[self.gain] * u * d_y + gain * t_u * d_y + gain * u * t_d_y)
        return (d_u, -d_u), (t_d_u, -t_d_u)


class TheirApart(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(3))

    def forward(self, x1, x2):
        return (self.gain * (x1 - x2) ** 2).sum(-1)


def with_distance(**options):
    return case(
        lambda n: n.TripletMarginWithDistanceLoss(
            distance_function=Apart() if n is mytorch.nn else TheirApart(), **options
        ),
        *3 * [(5, 3)],
    )


PREDICTION = [(5, 3), (5, 2), (5, 2)]


def elbo(std, reduction):
    def loss(prediction, target):
        y, m, v = prediction
        values = ((y - target) ** 2).sum(1) / (2 * std**2) + (m**2 + v.exp() - v - 1).sum(1) / 2
        return reduced(values, reduction)

    return function(loss)


class TheirLinearCrossEntropy(torch.nn.Module):
    """Their class, in those of torch that have one, keeps its scores in another way."""

    def __init__(self, in_features, num_classes, out_features=(), bias=False, batch_chunk_size=None, **options):
        super().__init__()
        self.sizes = num_classes, *out_features
        self.linear = torch.nn.Linear(in_features, torch.Size(self.sizes).numel(), bias=bias)
        self.loss = torch.nn.CrossEntropyLoss(**options)

    def forward(self, x, target):
        return self.loss(self.linear(x).view(*x.shape[:-1], *self.sizes), target)


def linear_cross_entropy(*sizes, x=(5, 4), target=CLASSES, **options):
    build = named("LinearCrossEntropyLoss", *sizes, **options)
    return case(build, x, target, theirs=lambda: TheirLinearCrossEntropy(*sizes, **options))


def adaptive(cutoffs, classes, **options):
    x = (*classes.shape, 8)
    return case(named("AdaptiveLogSoftmaxWithLoss", 8, 8, cutoffs, div_value=2.0, **options), x, classes)


def multi_margin(p, margin, weight, reduction):
    """torch's kernel has no second derivative."""

    def loss(x, target):
        at = target.unsqueeze(-1)
        values = (margin + x - x.gather(-1, at)).clamp(min=0) ** p
        values = values.scatter(-1, at, 0).sum(-1) / x.shape[-1]
        return reduced(values if weight is None else values * weight[target], reduction)

    return function(loss)


def multi_label_margin(reduction):
    """torch's kernel has no second derivative."""

    def loss(x, target):
        is_label = torch.zeros_like(x, dtype=torch.bool)
        for row, wanted in zip(is_label.view(-1, x.shape[-1]), target.view(-1, x.shape[-1]).tolist(), strict=True):
            row[[label for place, label in enumerate(wanted) if -1 not in wanted[: place + 1]]] = True
        short = (1 - x.unsqueeze(-1) + x.unsqueeze(-2)).clamp(min=0)  # label, other class
        counted = is_label.unsqueeze(-1) & ~is_label.unsqueeze(-2)
        return reduced((short * counted).sum((-1, -2)) / x.shape[-1], reduction)

    return function(loss)


def reduced(values, reduction):
    return {"mean": values.mean, "sum": values.sum, "none": lambda: values}[reduction]()


for each in REDUCTIONS:
    of = {"reduction": each}
    LOSSES |= {
        f"{name}, {each}": row
        for name, row in {
            "L1Loss": case(named("L1Loss", **of), (5, 3), numbers(5, 3)),
            "SmoothL1Loss": case(named("SmoothL1Loss", beta=1.3, **of), (5, 3), numbers(5, 3)),
            "SmoothL1Loss, beta 0": case(named("SmoothL1Loss", beta=0.0, **of), (5, 3), numbers(5, 3)),
            "HuberLoss": case(named("HuberLoss", delta=0.8, **of), (5, 3), numbers(5, 3)),
            "BCELoss": case(named("BCELoss", **of), moving(5, 3), numbers(5, 3) / 2),
            "BCELoss, weights": case(named("BCELoss", WEIGHT, **of), moving(5, 3), numbers(5, 3) / 2),
            "KLDivLoss": case(named("KLDivLoss", **of), (5, 3), numbers(5, 3)),
            "KLDivLoss, log_target": case(named("KLDivLoss", log_target=True, **of), (5, 3), -numbers(5, 3)),
            "PoissonNLLLoss": case(named("PoissonNLLLoss", full=True, **of), (5, 3), (4 * numbers(5, 3)).round()),
            "PoissonNLLLoss, of rates": case(
                named("PoissonNLLLoss", log_input=False, eps=0.1, **of), moving(5, 3), (4 * numbers(5, 3)).round()
            ),
            "GaussianNLLLoss": case(
                named("GaussianNLLLoss", full=True, **of),
                (5, 3),
                moving(5, 3),
                numbers(5, 3),
                theirs=gaussian(full=True, **of),
            ),
            "GaussianNLLLoss, a variance a row": case(
                named("GaussianNLLLoss", **of), (5, 3), moving(5), numbers(5, 3), theirs=gaussian(**of)
            ),
            "GaussianNLLLoss, at eps": case(
                named("GaussianNLLLoss", eps=0.5, **of),
                (5, 3),
                moving(5, 1),
                numbers(5, 3),
                theirs=gaussian(eps=0.5, **of),
            ),
            "SoftMarginLoss": case(named("SoftMarginLoss", **of), (5, 3), SIGNS.reshape(5, 3)),
            "HingeEmbeddingLoss": case(named("HingeEmbeddingLoss", margin=0.5, **of), (5, 3), SIGNS.reshape(5, 3)),
            "MultiLabelMarginLoss": case(
                named("MultiLabelMarginLoss", **of), (5, 3), LABELS, theirs=multi_label_margin(each)
            ),
            "MultiLabelMarginLoss, one row": case(
                named("MultiLabelMarginLoss", **of), (3,), LABELS[1], theirs=multi_label_margin(each)
            ),
            "MultiLabelSoftMarginLoss": case(
                named("MultiLabelSoftMarginLoss", **of), (5, 3), (SIGNS.reshape(5, 3) + 1) / 2
            ),
            "MultiLabelSoftMarginLoss, weights": case(
                named("MultiLabelSoftMarginLoss", WEIGHT, **of), (2, 5, 3), numbers(2, 5, 3) / 2
            ),
            "MultiMarginLoss": case(
                named("MultiMarginLoss", **of), (5, 3), CLASSES, theirs=multi_margin(1, 1.0, None, each)
            ),
            "MultiMarginLoss, weights": case(
                named("MultiMarginLoss", weight=WEIGHT, **of),
                (5, 3),
                CLASSES,
                theirs=multi_margin(1, 1.0, WEIGHT, each),
            ),
            "MultiMarginLoss, squared": case(
                named("MultiMarginLoss", 2, 0.7, WEIGHT, **of),
                (5, 3),
                CLASSES,
                theirs=multi_margin(2, 0.7, WEIGHT, each),
            ),
            "MultiMarginLoss, one row": case(
                named("MultiMarginLoss", 2, **of), (3,), torch.tensor(1), theirs=multi_margin(2, 1.0, None, each)
            ),
            "NLLLoss": case(named("NLLLoss", **of), (5, 3), CLASSES),
            "NLLLoss, weights": case(named("NLLLoss", WEIGHT, ignore_index=1, **of), (5, 3), CLASSES),
            "NLLLoss, images": case(
                named("NLLLoss", WEIGHT, **of), (2, 3, 2, 2), torch.arange(8).reshape(2, 2, 2) % 3
            ),
            "MarginRankingLoss": case(
                named("MarginRankingLoss", margin=0.4, **of), (5, 3), (5, 3), SIGNS.reshape(5, 3)
            ),
            "CosineEmbeddingLoss": case(named("CosineEmbeddingLoss", margin=-0.3, **of), (5, 3), (5, 3), SIGNS[:5]),
            "CosineEmbeddingLoss, one row": case(named("CosineEmbeddingLoss", **of), (4,), (4,), SIGNS[0]),
            "TripletMarginLoss": triplet(**of),
            "TripletMarginLoss, swap": triplet(margin=2.0, swap=True, **of),
            "TripletMarginLoss, p 3": triplet(p=3.0, swap=True, **of),
            "TripletMarginLoss, p 1.5": triplet(margin=2.0, p=1.5, **of),
            "TripletMarginLoss, p 1": triplet(p=1.0, **of),
            "ELBOLoss": case(named("ELBOLoss", 0.7, **of), PREDICTION, numbers(5, 3), theirs=elbo(0.7, each)),
            **{
                f"LinearCrossEntropyLoss, {what}": linear_cross_entropy(4, 3, **options, **of)
                for what, options in {
                    "plain": {},
                    "a part": {"batch_chunk_size": 2, "bias": True},
                    "weights": {"weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.2},
                    "weights, a part": {"weight": WEIGHT, "ignore_index": 1, "batch_chunk_size": 3},
                }.items()
            },
            "LinearCrossEntropyLoss, probabilities": linear_cross_entropy(
                4, 3, target=numbers(5, 3).softmax(1), weight=WEIGHT, batch_chunk_size=2, **of
            ),
            "LinearCrossEntropyLoss, images": linear_cross_entropy(
                4, 3, target=torch.arange(20).reshape(5, 2, 2) % 3, out_features=(2, 2), batch_chunk_size=2, **of
            ),
            "LinearCrossEntropyLoss, one row": linear_cross_entropy(4, 3, x=(4,), target=torch.tensor(1), **of),
            "TripletMarginWithDistanceLoss": with_distance(**of),
            "TripletMarginWithDistanceLoss, swap": with_distance(margin=2.0, swap=True, **of),
        }.items()
    }
LOSSES |= {
    "KLDivLoss, batchmean": case(named("KLDivLoss", reduction="batchmean"), (5, 3), numbers(5, 3)),
}
MAPS |= {
    "AdaptiveLogSoftmaxWithLoss": adaptive([2, 4, 6], torch.tensor([0, 5, 2, 1, 4]), head_bias=True),
    "AdaptiveLogSoftmaxWithLoss, a cluster without a target": adaptive([2, 5], torch.tensor([0, 1, 6, 7])),
    "AdaptiveLogSoftmaxWithLoss, one row": adaptive([2, 5], torch.tensor(3)),
}
RECURRENT = {
    "RNNCell": case(named("RNNCell", 3, 4), (5, 3)),
    "RNNCell, relu": case(named("RNNCell", 3, 4, nonlinearity="relu"), (5, 3), (5, 4)),
    "RNNCell, one row": case(named("RNNCell", 3, 4, bias=False), (3,), (4,)),
    "GRUCell": case(named("GRUCell", 3, 4), (5, 3), (5, 4)),
    "GRUCell, no state": case(named("GRUCell", 3, 4, bias=False), (5, 3)),
    "LSTMCell": case(named("LSTMCell", 3, 4), (5, 3), [(5, 4), (5, 4)]),
    "LSTMCell, one row": case(named("LSTMCell", 3, 4), (3,)),
    "LSTMCell, no rows": case(named("LSTMCell", 3, 4), (0, 3)),
}
for each in ("RNN", "GRU", "LSTM"):
    state = [(4, 2, 4), (4, 2, 4)] if each == "LSTM" else (4, 2, 4)
    RECURRENT |= {
        each: case(named(each, 3, 4), (5, 2, 3)),
        f"{each}, one sequence": case(named(each, 3, 4, bias=False), (6, 3)),
        f"{each}, long": case(named(each, 2, 3), (21, 1500, 2), modes=EVALUATION),
        f"{each}, layers and directions": case(
            named(each, 3, 4, num_layers=2, bidirectional=True, batch_first=True), (2, 5, 3), state
        ),
        f"{each}, dropout": case(named(each, 3, 4, num_layers=3, dropout=0.4), (5, 2, 3), modes=EVALUATION),
    }
RECURRENT |= {
    "RNN, relu": case(named("RNN", 3, 4, nonlinearity="relu", bidirectional=True), (5, 2, 3)),
    "LSTM, projected": case(named("LSTM", 3, 4, num_layers=2, proj_size=2, bidirectional=True), (5, 2, 3)),
    "LSTM, projected, state": case(named("LSTM", 3, 4, proj_size=2), (5, 2, 3), [(1, 2, 2), (1, 2, 4)]),
}


class TheirStep(torch.nn.Module):
    """What becomes of the steps of each sequence that are no padding."""

    def __init__(self, of_steps):
        super().__init__()
        self.of_steps = of_steps

    def forward(self, x, lengths=None):
        ends = [x.shape[1]] * len(x) if lengths is None else lengths.tolist()
        return torch.stack([self.of_steps(row[:end]) for row, end in zip(x, ends, strict=True)])


class TheirPadded(torch.nn.Sequential):
    """Each layer sees the steps alone that are no padding."""

    def forward(self, x, lengths):
        for layer in self:
            if isinstance(layer, torch.nn.RNNBase):
                y, last = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
                x = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], last
            elif isinstance(layer, torch.nn.TransformerEncoderLayer):
                x = layer(x, src_key_padding_mask=torch.arange(x.shape[1]) >= lengths.unsqueeze(1))
            else:
                x = layer(x, lengths) if isinstance(layer, TheirStep) else layer(x)
        return x


class Theirs:
    """torch.nn, and what stands there for layers of ours."""

    Padded = TheirPadded

    def __getattr__(self, name):
        return getattr(torch.nn, name)

    @staticmethod
    def Take(index):
        return Function(lambda outputs: outputs[index])

    @staticmethod
    def LastStep():
        return TheirStep(lambda steps: steps[-1])

    @staticmethod
    def MeanStep():
        return TheirStep(lambda steps: steps.mean(0))


def ragged(build, lengths=(3, 1, 5)):
    options = {} if lengths is None else {"lengths": torch.tensor(lengths)}
    return case(build, (3, 5, 4), theirs=lambda: build(Theirs()), **options)


RAGGED = {
    "LastStep": ragged(named("LastStep")),
    "LastStep, no padding": ragged(named("LastStep"), None),
    "MeanStep": ragged(named("MeanStep")),
    "MeanStep, no padding": ragged(named("MeanStep"), None),
    "Padded, RNN": ragged(
        lambda n: n.Padded(n.RNN(4, 3, batch_first=True, bidirectional=True), n.Take(0), n.Tanh(), n.MeanStep())
    ),
    "Padded, states of a GRU": ragged(lambda n: n.Padded(n.Linear(4, 3), n.GRU(3, 4, batch_first=True), n.Take(1))),
    "Padded, LSTM": ragged(
        lambda n: n.Padded(
            *(n.LSTM(4, 3, 2, batch_first=True), n.Take(0), n.Linear(3, 4)),
            *(n.LSTM(4, 5, batch_first=True, proj_size=2), n.Take(0), n.LastStep()),
        )
    ),
    "Padded, attention": ragged(
        lambda n: n.Padded(n.TransformerEncoderLayer(4, 2, 6, batch_first=True), n.MeanStep(), n.Linear(4, 3))
    ),
}
CASES = {**ACTIVATIONS, **MAPS, **POOLS, **NORMS, **NETS, **ATTENTION, **RECURRENT, **RAGGED, **LOSSES}


def drawn(spec):
    if isinstance(spec, list):
        return tuple(map(drawn, spec))
    if isinstance(spec, Moving):
        return spec.value.clone()
    return spec if isinstance(spec, torch.Tensor) else 1.5 * random(spec)


def random(shape):
    """Not contiguous where it has two axes."""
    return torch.randn(shape[::-1]).double().permute(tuple(reversed(range(len(shape)))))


def direction_of(spec):
    """In the structure of the gradient: None for what does not move."""
    if isinstance(spec, list):
        return tuple(map(direction_of, spec))
    if isinstance(spec, Moving):
        return random(spec.value.shape)
    return None if isinstance(spec, torch.Tensor) else random(spec)


def prepared(name, mode):
    spec = CASES[name]
    torch.manual_seed(2)
    theirs, ours = spec.theirs().double().train(mode), spec.build(mytorch.nn).double().train(mode)
    parameters = dict(theirs.named_parameters())
    for key, value in theirs.state_dict().items():
        if key in parameters or "running" in key:
            value.copy_(torch.rand_like(value) + 0.5 if "var" in key else 0.7 * torch.randn_like(value))
    state = theirs.state_dict()
    ours.load_state_dict({key: state.get(key, value) for key, value in ours.state_dict().items()})
    values = {key: value.detach().clone() for key, value in theirs.named_parameters()}
    t_inputs = tuple(map(direction_of, spec.inputs))
    t_values = {key: torch.randn_like(value) for key, value in values.items()}
    return ours, theirs, Moves(tuple(map(drawn, spec.inputs)), spec.options, t_inputs, values, t_values)


def each_of(names):
    pairs = [(name, mode) for name in names for mode in CASES[name].modes]
    ids = [f"{name}, {'training' if mode else 'evaluation'}" for name, mode in pairs]
    return pytest.mark.parametrize(("name", "mode"), pairs, ids=ids)


@each_of(CASES)
def test_what_is_stated_is_what_torch_makes_by_going_back_twice(name, mode):
    ours, theirs, moves = prepared(name, mode)
    assert all(map(states_tangents, ours.modules()))
    require_as_torch(ours, theirs, moves)


@each_of([name for name in CASES if name not in LOSSES and len(CASES[name].inputs) == 1])
def test_where_the_data_do_not_move_and_want_no_gradient(name, mode):
    """As of a first layer: t_input is None for each input, and input_grad False."""
    ours, theirs, moves = prepared(name, mode)
    still = mapped(lambda leaf: None if leaf is None else torch.zeros_like(leaf), moves.t_inputs)
    _, t_wanted, d_output, t_d_output, _, t_d_wanted = wanted_of(theirs, moves._replace(t_inputs=still))
    ours.input_grad = False
    torch.manual_seed(1)
    output, saved = ours.forward(*moves.inputs, **moves.options)
    directions, t_input = directions_of(ours, moves), as_given(ours, mapped(lambda _: None, moves.t_inputs))
    t_output, t_saved = ours.tangent(t_input, saved, directions)
    require_close(filled(t_output, output), t_wanted, "t_output")
    found = ours.backward_tangent(as_ours(d_output, output), as_ours(t_d_output, output), saved, t_saved, directions)
    assert not of_tensors(found)
    require_changes(ours, t_d_wanted)
