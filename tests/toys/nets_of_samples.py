"""Nets of every layer with parameters, with the samples first outside, for what is known of single samples."""

import functools

import torch
from torch import Tensor

from mytorch.core import Module
from mytorch.nn import (
    GRU,
    LSTM,
    RNN,
    BatchNorm2d,
    Bilinear,
    Checkpoint,
    Concatenate,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Embedding,
    EmbeddingBag,
    GroupNorm,
    GRUCell,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    Linear,
    LSTMCell,
    MultiheadAttention,
    PReLU,
    Residual,
    Reversible,
    RMSNorm,
    RNNCell,
    Sequential,
    Tanh,
    Transformer,
    TransformerEncoder,
    TransformerEncoderLayer,
)


class Net(Module):
    """A layer with the samples first outside and, unless `first`, second inside; its outputs side by side."""

    def __init__(self, layer, first=True, **options):
        self.layer, self.first, self.options = layer, first, options

    def _turned(self, x):
        return x if self.first else x.transpose(0, 1)

    def forward(self, *inputs):
        output, saved = self.layer.forward(*map(self._turned, inputs), **self.options)
        outputs = [output] if isinstance(output, Tensor) else [output[0], *self._states(output)]
        turned = [outputs[0] if isinstance(self.layer, LSTMCell) else self._turned(outputs[0]), *outputs[1:]]
        parts = [part.flatten(1) for part in turned]
        return torch.cat(parts, 1), (saved, output, [part.shape for part in turned])

    def _states(self, output):
        """The last state, as (samples, ...)."""
        if isinstance(self.layer, LSTMCell):
            return [output[1]]
        if isinstance(self.layer, MultiheadAttention):
            return [] if output[1] is None else [output[1]]
        return [each.transpose(0, 1) for each in (output[1] if isinstance(output[1], tuple) else [output[1]])]

    def backward(self, d_y, saved):
        saved, output, shapes = saved
        cut = d_y.split([shape[1:].numel() for shape in shapes], 1)
        d_first, *d_states = (part.reshape(shape) for part, shape in zip(cut, shapes, strict=True))
        if not isinstance(self.layer, LSTMCell):
            d_first = self._turned(d_first)
        if isinstance(output, Tensor):
            return self.layer.backward(d_first, saved)
        if isinstance(self.layer, (RNN, GRU, LSTM)):
            d_states = [each.transpose(0, 1) for each in d_states]
            d_states = [tuple(d_states)] if isinstance(output[1], tuple) else d_states
        return self.layer.backward((d_first, *(d_states or [None])), saved)


def shared():
    layer = Linear(4, 4)
    return Sequential(layer, Tanh(), layer)


def tied():
    """An embedding and a linear layer with one matrix, as in language models."""
    embedding, linear = Embedding(7, 4), Linear(4, 7)
    linear.weight = embedding.weight
    return Sequential(embedding, Tanh(), linear)


INDICES = torch.tensor([[0, 3, 3, 2], [4, 0, 1, 1], [2, 2, 2, 2], [6, 5, 4, 3]])
ENCODER = functools.partial(TransformerEncoderLayer, 4, 2, 6, dropout=0.0)
CASES = {
    "Linear": (lambda: Sequential(Linear(4, 5), Tanh(), Linear(5, 3, bias=False)), [(4, 4)]),
    "Linear, many rows": (lambda: Sequential(Linear(4, 5), PReLU(), Linear(5, 3)), [(4, 7, 4)]),
    "shared": (shared, [(4, 4)]),
    "tied": (tied, [INDICES]),
    "Bilinear": (lambda: Bilinear(2, 3, 4), [(4, 3, 2), (4, 3, 3)]),
    "Conv1d": (lambda: Conv1d(4, 6, 3, 2, 1, 2, groups=2), [(4, 4, 12)]),
    "Conv2d": (lambda: Conv2d(2, 3, (3, 2), (1, 2), bias=False), [(4, 2, 6, 7)]),
    "Conv2d, reflected": (lambda: Conv2d(2, 3, 3, padding="same", padding_mode="reflect"), [(4, 2, 6, 7)]),
    "Conv3d": (lambda: Conv3d(2, 4, (2, 1, 3), padding=1, groups=2), [(3, 2, 4, 3, 5)]),
    "ConvTranspose1d": (lambda: ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, dilation=2), [(4, 4, 6)]),
    "ConvTranspose2d": (lambda: ConvTranspose2d(2, 3, (3, 2), (2, 1)), [(4, 2, 4, 5)]),
    "ConvTranspose3d": (lambda: ConvTranspose3d(2, 4, (2, 1, 3), 2, 0, 1, 2), [(3, 2, 3, 2, 3)]),
    "Embedding": (lambda: Embedding(7, 3, padding_idx=2), [INDICES]),
    "EmbeddingBag, mean": (lambda: EmbeddingBag(7, 3, padding_idx=2), [INDICES]),
    "EmbeddingBag, sum": (lambda: EmbeddingBag(7, 3, mode="sum"), [INDICES]),
    "EmbeddingBag, max": (lambda: EmbeddingBag(7, 3, mode="max"), [INDICES]),  # by one backward a sample
    "LayerNorm": (lambda: Sequential(Linear(4, 4), LayerNorm((3, 4))), [(4, 2, 3, 4)]),
    "RMSNorm": (lambda: Sequential(Linear(4, 4), RMSNorm(4)), [(4, 3, 4)]),
    "GroupNorm": (lambda: GroupNorm(2, 4), [(4, 4, 3, 2)]),
    "InstanceNorm": (lambda: InstanceNorm1d(4, affine=True), [(4, 4, 3)]),
    "InstanceNorm, running": (lambda: InstanceNorm2d(4, affine=True, track_running_stats=True).eval(), [(4, 4, 3, 2)]),
    "BatchNorm, running": (lambda: BatchNorm2d(4).eval(), [(4, 4, 3, 2)]),
    "PReLU": (lambda: PReLU(4), [(4, 4, 3)]),
    "RNNCell": (lambda: RNNCell(3, 4), [(4, 3), (4, 4)]),
    "GRUCell": (lambda: GRUCell(3, 4), [(4, 3), (4, 4)]),
    "LSTMCell": (lambda: Net(LSTMCell(3, 4)), [(4, 3)]),
    "RNN": (lambda: Net(RNN(3, 4, 2, bidirectional=True), first=False), [(4, 5, 3)]),
    "GRU": (lambda: Net(GRU(3, 4, 2, bidirectional=True, batch_first=True)), [(4, 5, 3)]),
    "LSTM": (lambda: Net(LSTM(3, 4, 2, bidirectional=True), first=False), [(4, 4, 3)]),  # as many steps as samples
    "LSTM, projected": (lambda: Net(LSTM(3, 4, proj_size=2, bias=False, batch_first=True)), [(4, 5, 3)]),
    "RNN, long": (lambda: Net(RNN(1, 128, batch_first=True)), [(2, 300, 1)]),  # read in several stretches
    "attention": (lambda: Net(MultiheadAttention(4, 2), first=False), [(4, 3, 4)]),
    "attention, kernel": (lambda: Net(MultiheadAttention(4, 2, batch_first=True), need_weights=False), [(4, 3, 4)]),
    "attention, three": (lambda: Net(MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True), first=False),
                         [(4, 3, 4), (4, 5, 4), (4, 5, 4)]),
    "attention, sizes": (lambda: Net(MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True)),
                         [(4, 3, 4), (4, 5, 3), (4, 5, 2)]),
    "encoder": (lambda: Net(TransformerEncoder(ENCODER(), 2), first=False), [(4, 4, 4)]),
    "transformer": (lambda: Net(Transformer(4, 2, 1, 1, 6, dropout=0.0, batch_first=True)), [(4, 3, 4), (4, 2, 4)]),
    "branches": (lambda: Sequential(Residual(Linear(4, 4)), Concatenate(Linear(4, 2), Linear(4, 3))), [(4, 4)]),
    "reversible": (lambda: Sequential(Linear(4, 4), Reversible(Linear(2, 2), Tanh()), Linear(4, 2)), [(4, 4)]),
    "checkpoint": (lambda: Sequential(Checkpoint(Sequential(Linear(4, 4), Tanh())), Linear(4, 2)), [(4, 4)]),
}  # fmt: skip


def make(case, cases=CASES):
    torch.manual_seed(3)
    build, given = cases[case]
    net = build().double()
    inputs = tuple(each if isinstance(each, Tensor) else torch.randn(each, dtype=torch.float64) for each in given)
    targets = torch.randn(net(*inputs).shape, dtype=torch.float64)
    return net, inputs if len(inputs) > 1 else inputs[0], targets


def with_one(layer, first, *others):
    """The layer with one parameter under several names."""
    for other in others:
        setattr(layer, other, getattr(layer, first))
    return layer


def tied_layers():
    layer = with_one(RNN(4, 4, 2, batch_first=True), "weight_ih_l0", "weight_ih_l1")
    return with_one(layer, "weight_hh_l0", "weight_hh_l1")


def tied_directions():
    layer = with_one(LSTM(4, 4, batch_first=True, bidirectional=True), "weight_ih_l0", "weight_ih_l0_reverse")
    return with_one(layer, "weight_hh_l0", "weight_hh_l0_reverse")


WITHIN = {
    "layers": (lambda: Net(tied_layers()), [(4, 5, 4)]),
    "directions": (lambda: Net(tied_directions()), [(4, 5, 4)]),
    "input and state": (lambda: Net(with_one(RNN(4, 4), "weight_ih_l0", "weight_hh_l0"), first=False), [(4, 5, 4)]),
    "biases": (lambda: Net(with_one(GRU(4, 4), "bias_ih_l0", "bias_hh_l0"), first=False), [(4, 5, 4)]),
    "cell": (lambda: with_one(RNNCell(4, 4), "weight_ih", "weight_hh"), [(4, 4), (4, 4)]),
    "cell with state": (lambda: Net(with_one(LSTMCell(4, 4), "weight_ih", "weight_hh")), [(4, 4)]),
    "attention": (
        lambda: Net(with_one(MultiheadAttention(4, 2, vdim=3, batch_first=True), "q_proj_weight", "k_proj_weight")),
        [(4, 3, 4), (4, 5, 4), (4, 5, 3)],
    ),
}  # fmt: skip
